/** A Durable Object's one alarm. Workers only. */

/** What is used of an object's storage. */
export interface AlarmStorage {
  getAlarm(): Promise<number | null>
  setAlarm(atMs: number): Promise<void>
  deleteAlarm(): Promise<void>
}

/** An alarm that knows when it is set, as each setting is a write. The output gate waits for its writes, and fails with
 *  them. */
export class Alarm {
  private readonly storage: AlarmStorage
  private setMs: number | null = null

  constructor(storage: AlarmStorage) {
    this.storage = storage
  }

  /** Read when it is set; call it before everything else. */
  async load(): Promise<void> {
    this.setMs = await this.storage.getAlarm()
  }

  /** The alarm has gone off; there is none now. */
  cleared(): void {
    this.setMs = null
  }

  /** Set it, unless it is set for that time or before. */
  set(atMs: number): void {
    if (this.setMs !== null && this.setMs <= atMs) return
    this.setMs = atMs
    void this.storage.setAlarm(atMs)
  }

  /** Set it no more. */
  remove(): void {
    if (this.setMs === null) return
    this.setMs = null
    void this.storage.deleteAlarm()
  }
}
