// That this compiles is the test: React is not there to run it.
import type { JSX } from 'react';
import type {} from '@understudy/actor/react';

export function Page(): JSX.Element {
  return (
    <staff-bar user="Ada" actor="Sam" access="full" reason="" expires="2026-11-21T22:26:40Z" session-url="/session" lang="de">
      <form method="post" action="/stop" />
    </staff-bar>
  );
}
