/** Who may do what on a server: the users that are stored, and the one there is without any.
 *
 *  1. As long as no user is stored, nothing is asked of anyone but what the server's own `authenticate` asks.
 *  2. Users are read when the first command comes, before it is run; one that cannot be read lets nobody in.
 *  3. A change is stored before it is answered, and holds from then on for connections that are open, too. */
import { type Bin, binToText } from '@dotdo/core/bytes'
import type { Database } from '@dotdo/core/shard'
import { type StoredUser, USERS_SLOT, type UsersArgs } from '../engine/users.ts'
import type { AnyCommand } from '../routing.ts'
import { checkCommand, type Denial, isAllowedAll } from './check.ts'
import { AclLog } from './log.ts'
import { readUser } from './rules.ts'
import { sameHash, sha256 } from './sha256.ts'
import { defaultUser, describeUser, type User } from './user.ts'

/** What access control needs of its server. */
export interface AccessOptions {
  readonly fabric: { database(name: string): Promise<Database>; find?(name: string): Promise<unknown> }
  /** The database that users are kept in. */
  readonly database: string
  readonly program: string
  readonly clock: { nowMs(): number }
  /** How long users that were read are believed, where other servers may change them; for ever when left out. */
  readonly refreshMs: number | undefined
  /** Whether clients must say credentials when no user is stored. */
  readonly needed: boolean
  /** Check credentials of users that are not stored. */
  authenticate(user: string, password: string): boolean
  /** Told when the users have been read for the first time. */
  read(): void
  /** Told of the users that are gone. */
  gone(names: ReadonlySet<Bin>): void
}

/** The users of a server. */
export class AccessControl {
  readonly log = new AclLog()
  private users = new Map<Bin, User>()
  private loading: Promise<void> | undefined
  private known = false
  private staleAtMs = Number.NEGATIVE_INFINITY
  private readonly options: AccessOptions

  constructor(options: AccessOptions) {
    this.options = options
  }

  /** Whether the stored users have been read, and lately enough. */
  get ready(): boolean {
    return this.staleAtMs === Number.POSITIVE_INFINITY || this.options.clock.nowMs() < this.staleAtMs
  }

  /** Whether there is anything to ask of a command. */
  get enforced(): boolean {
    return this.users.size > 0
  }

  /** List the users, `default` among them, by name. */
  list(): User[] {
    const all = new Map(this.users)
    if (!all.has('default')) all.set('default', defaultUser(this.options.needed))
    return [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Find a user. */
  find(name: Bin): User | undefined {
    return this.users.get(name) ?? (name === 'default' ? defaultUser(this.options.needed) : undefined)
  }

  /** Whether a connection is let in as `default` before it says anything. */
  welcomes(): boolean {
    const stored = this.users.get('default')
    return stored === undefined ? !this.options.needed : stored.on && stored.noPassword
  }

  /** Check credentials, without telling by time how much of a password is right. */
  authenticate(name: Bin, password: Bin): boolean {
    const asText = (bin: Bin) => binToText(bin) ?? bin
    const user = this.users.get(name)
    const byServer = () => this.options.authenticate(asText(name), asText(password))
    if (user === undefined) return byServer()
    const hash = sha256(password)
    let right = user.noPassword
    for (const known of user.passwords) if (sameHash(known, hash)) right = true
    if (user.serverPassword && byServer()) right = true
    return right && user.on
  }

  /** Ask whether a user may run a command.
   *  @returns why not */
  denial(name: Bin, row: AnyCommand, argv: readonly Bin[]): Denial | undefined {
    const user = this.users.get(name)
    // Whom the server itself has let in may do everything: `default` as it was born, and users of the host's own.
    return user === undefined ? undefined : checkCommand(user, row, argv)
  }

  /** Find the rules that a user is held to inside a script: undefined when everything is allowed. */
  restricted(name: Bin): User | undefined {
    const user = this.users.get(name)
    return user === undefined || isAllowedAll(user.root) ? undefined : user
  }

  /** Read the users, once.
   *  @throws what the fabric throws */
  load(): Promise<void> {
    this.loading ??= this.read().finally(() => {
      this.loading = undefined
    })
    return this.loading
  }

  private async read(): Promise<void> {
    const { fabric, database } = this.options
    // A database that is not there has no users, and asking must not make it.
    if (fabric.find !== undefined && (await fabric.find(database)) === undefined) this.take([])
    else await this.store({})
  }

  /** Store some users, remove others.
   *  @throws what the fabric throws; then nothing has changed here */
  async change(put: readonly User[], remove: readonly Bin[]): Promise<void> {
    const stored = put.map((user): StoredUser => {
      return { name: user.name, rules: describeUser(user), password: Number(user.serverPassword) }
    })
    await this.store({ put: stored, remove })
  }

  private async store(args: UsersArgs): Promise<void> {
    const { fabric, database, program } = this.options
    const opened = await fabric.database(database)
    this.take((await opened.router.call({ program, name: 'users', args }, { slot: USERS_SLOT })) as StoredUser[])
  }

  private take(stored: readonly StoredUser[]): void {
    const before = this.users
    this.users = new Map(stored.map(({ name, rules, password }) => [name, readUser(name, rules, password === 1)]))
    const { refreshMs, clock } = this.options
    this.staleAtMs = refreshMs === undefined ? Number.POSITIVE_INFINITY : clock.nowMs() + refreshMs
    if (!this.known) {
      this.known = true
      this.options.read()
    }
    const gone = [...before.keys()].filter((name) => name !== 'default' && !this.users.has(name))
    if (gone.length > 0) this.options.gone(new Set(gone))
  }
}
