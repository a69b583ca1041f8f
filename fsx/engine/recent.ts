/** What was used lately, by key, in two generations: when the young one is full, the old one is forgotten. */
export class Recent<K, V> {
  private young = new Map<K, V>()
  private old = new Map<K, V>()
  private readonly capacity: () => number

  /** @param capacity entries of a generation, asked when one is kept */
  constructor(capacity: () => number) {
    this.capacity = capacity
  }

  /** Find a value; one of the old generation becomes young again. */
  get(key: K): V | undefined {
    const value = this.young.get(key)
    if (value !== undefined || this.old.size === 0) return value
    const kept = this.old.get(key)
    if (kept !== undefined) this.set(key, kept)
    return kept
  }

  /** Keep a value. */
  set(key: K, value: V): void {
    if (this.young.size >= this.capacity() && !this.young.has(key)) {
      this.old = this.young
      this.young = new Map()
    }
    this.young.set(key, value)
  }

  /** Forget a value. */
  delete(key: K): void {
    this.young.delete(key)
    if (this.old.size > 0) this.old.delete(key)
  }

  /** Forget everything. */
  clear(): void {
    this.young.clear()
    this.old.clear()
  }
}
