/** Problem is an error that a visitor may read. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    cause?: unknown,
  ) {
    super(`${title}: ${detail}`, { cause });
  }
}
