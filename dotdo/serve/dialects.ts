/** The protocols that a server speaks, as a table. A row gives a dialect its flag, its environment variable, its place
 *  in the configuration file and in the ready file, its listener, its metrics and its line on the terminal.
 *
 *  To add one: write `<name>.ts` here, as redis.ts is, and add its row. */
import type { Clock, Fabric } from '@dotdo/core/shard'
import type { Registry } from 'prom-client'
import type { AppParts } from '../http/app.ts'
import { redis } from './redis.ts'
import type { Durability } from './settings.ts'

/** What a session needs of its connection. */
export interface Connection {
  /** The client's `ip:port`. */
  readonly address: string
  /** Our `ip:port`. */
  readonly localAddress: string
  /** Send bytes. @param bytes given away */
  write(bytes: Uint8Array): void
  /** Close, after what was written has gone out. */
  close(): void
  /** Close at once, whatever waits. */
  abort(): void
  /** How many bytes the client has not taken yet. */
  queuedBytes(): number
  /** @returns a promise that the client has taken enough to go on, or undefined when it has */
  drained(): Promise<void> | undefined
}

/** One client, as a dialect sees it. */
export interface WireSession {
  /** Take bytes from the client.
   *  @param bytes given away
   *  @returns a promise when no more should be read until it settles, else undefined */
  receive(bytes: Uint8Array): Promise<void> | undefined
  /** Settles when everything received so far has been run and written. */
  readonly busy: Promise<void>
  /** The client sends no more, or the server is stopping: what would wait for others is not waited for. */
  finish?(): void
  /** The connection is gone. */
  end(): void
}

/** A dialect at work. */
export interface DialectServer {
  connect(connection: Connection): WireSession
  /** What it adds to the HTTP app. */
  readonly http?: Partial<AppParts>
  /** Told where it listens. */
  listening(port: number): void
  /** A client had to be turned away.
   *  @returns what it is told */
  refuse(): Uint8Array
}

/** What a dialect is started with. */
export interface DialectParts {
  readonly fabric: Fabric
  readonly clock: Clock
  readonly version: string
  readonly startedMs: number
  readonly durability: Durability
  /** Checks passwords in constant time; absent when everybody is let in. */
  readonly authenticate?: (user: string, password: string) => boolean
  /** Where its metrics go. */
  readonly registry: Registry
  /** Ask for the server to be stopped, as a signal does.
   *  @param by the command that a client sent */
  shutdown(by: string): void
  /** Told of failures that are bugs of ours. */
  onBug(error: unknown): void
}

/** A row of the table. */
export interface Dialect {
  /** Lower case: `--name`, `DOTDO_NAME_PORT`, `name` in both files. */
  readonly name: string
  /** As its makers write it. */
  readonly title: string
  readonly portDefault: number
  /** Connections served at once. */
  readonly connectionsMax: number
  /** Show how to connect. */
  example(host: string, port: number): string
  start(parts: DialectParts): DialectServer
}

/** Every dialect. */
export const dialects: readonly Dialect[] = [redis]
