// stop ends an impersonation with the management API, as a help desk would: an actor
// acts as one user at a time in an application.
export async function stop(id) {
  const { ISSUER, API_KEY } = process.env;
  const answer = await fetch(`${ISSUER}/api/v1/impersonations/${id}/stop`, { method: 'POST', headers: { Authorization: `Bearer ${API_KEY}` } });
  if (!answer.ok) throw new Error(`stop: ${answer.status} ${await answer.text()}`);
}
