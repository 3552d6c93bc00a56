// Once in a project: import type {} from '@understudy/actor/react'
import type { HTMLAttributes } from 'react';
import type { StaffBarAttributes } from '@understudy/actor';

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'staff-bar': HTMLAttributes<HTMLElement> & StaffBarAttributes;
    }
  }
}
