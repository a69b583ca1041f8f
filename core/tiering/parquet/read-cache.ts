/** Keeps what is read often and never changes: footers, page indexes and bloom filters. */
import { PARQUET_CACHE_BYTES } from '../../limits.ts'

/** Something to keep, and what it weighs. */
export interface Kept<T> {
  readonly value: T
  readonly bytes: number
}

/** A cache of a bounded number of bytes; what was used longest ago goes first. */
export class ParquetCache {
  private readonly bytesMax: number
  private readonly entries = new Map<string, Promise<Kept<unknown>>>()
  private readonly weights = new Map<string, number>()
  private total = 0

  constructor(bytesMax: number = PARQUET_CACHE_BYTES) {
    this.bytesMax = bytesMax
  }

  /** Bytes it holds. */
  get sizeBytes(): number {
    return this.total
  }

  /** Whether something is kept under a key, or on its way. */
  has(key: string): boolean {
    return this.entries.has(key)
  }

  /** Get what is kept under a key, or load it; whoever asks meanwhile waits for the same load.
   *  @param hit told what was there already weighs */
  async get<T>(key: string, load: () => Promise<Kept<T>>, hit: (bytes: number) => void = () => {}): Promise<T> {
    const known = this.entries.get(key) as Promise<Kept<T>> | undefined
    if (known !== undefined) {
      // Used last: to the end.
      this.entries.delete(key)
      this.entries.set(key, known)
      const { value, bytes } = await known
      hit(bytes)
      return value
    }
    const loading = load()
    this.entries.set(key, loading)
    try {
      const { value, bytes } = await loading
      this.weigh(key, loading, bytes)
      return value
    } catch (error) {
      if (this.entries.get(key) === loading) this.entries.delete(key)
      throw error
    }
  }

  private weigh(key: string, loading: Promise<unknown>, bytes: number): void {
    if (this.entries.get(key) !== loading) return
    this.weights.set(key, bytes)
    this.total += bytes
    for (const oldest of this.entries.keys()) {
      if (this.total <= this.bytesMax) break
      const weight = this.weights.get(oldest)
      // Still on its way: it is weighed when it has come.
      if (weight === undefined) continue
      this.entries.delete(oldest)
      this.weights.delete(oldest)
      this.total -= weight
    }
  }
}
