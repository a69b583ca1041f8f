/** What a host lends to the core: time, randomness, and "later". Nothing else in the core knows the clock. */

/** Time and chance, as a host (or the simulator) provides them. */
export interface Clock {
  /** @returns milliseconds since 1970 */
  nowMs(): number
  /** @returns a random integer, 0 to 2^48 - 1 */
  random(): number
  /** Run `work` when the requests that have arrived by now have all been queued: this makes the group of a group
   * commit. */
  defer(work: () => void): void
  /** Run `work` in `delayMs`.
   *  @returns a function that calls it off */
  after(delayMs: number, work: () => void): () => void
  /** Have the shard woken at a time even if the host has put it out of memory by then; it may be woken earlier too.
   *  Called with every group, in the turn that commits it. Left out where shards stay in memory. */
  alarm?(atMs: number): void
  /** Keep the process from ending by itself. Left out where it does not.
   *  @returns a function that lets it end */
  stayAlive?(): () => void
}
