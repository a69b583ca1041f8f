/** Chance from a seed: the same seed gives the same numbers, on every machine. */

/** A seeded source of randomness (sfc32). */
export class Random {
  private a: number
  private b: number
  private c: number
  private count = 1

  /** @param seed any integer below 2^32
   *  @param stream tells apart the uses of one seed */
  constructor(seed: number, stream = 0) {
    this.a = seed | 0
    this.b = stream | 0
    this.c = 0x9e3779b9
    for (let i = 0; i < 12; i++) this.word()
  }

  private word(): number {
    const sum = (this.a + this.b + this.count++) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = ((this.c << 21) | (this.c >>> 11)) + sum
    return sum >>> 0
  }

  /** @returns a number from 0 to 1, 1 excluded */
  unit(): number {
    return this.word() / 2 ** 32
  }

  /** @returns an integer from 0 to `end`, `end` excluded */
  below(end: number): number {
    return Math.floor(this.unit() * end)
  }

  /** @returns an integer from `from` to `to`, both included */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1)
  }

  /** Say yes with a probability. */
  chance(probability: number): boolean {
    return this.unit() < probability
  }

  /** Choose one of a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T
  }

  /** @returns an integer of 48 bits, as a Clock gives them */
  bits48(): number {
    return this.below(2 ** 24) * 2 ** 24 + this.below(2 ** 24)
  }
}
