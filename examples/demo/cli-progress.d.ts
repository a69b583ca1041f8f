/** What the demo uses of cli-progress, which brings no types of its own. */
declare module 'cli-progress' {
  export class SingleBar {
    constructor(options: { format: string; hideCursor?: boolean; clearOnComplete?: boolean })
    start(total: number, startValue: number): void
    update(value: number): void
    stop(): void
  }
}
