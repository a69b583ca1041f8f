/** Finds a request's row in the table of commands, or says in Redis' words why there is none. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { wrongArity } from './commands/arguments.ts'
import type { Row } from './session.ts'
import type { Value } from './value.ts'

/** The rows of a table, by every name they go by. */
export class CommandIndex {
  /** Every row by its full name, `client|setname` among them. */
  readonly rows: ReadonlyMap<string, Row>
  private readonly byName = new Map<string, Row>()
  private readonly containers = new Map<string, Row[]>()

  constructor(rows: ReadonlyMap<string, Row>) {
    this.rows = rows
    for (const row of rows.values()) {
      const [container, subcommand] = row.name.split('|')
      if (subcommand !== undefined) {
        const siblings = this.containers.get(container as string)
        if (siblings) siblings.push(row)
        else this.containers.set(container as string, [row])
      } else {
        this.byName.set(row.name, row)
        // The two spellings that clients send are found without making a lower-case copy.
        this.byName.set(row.name.toUpperCase(), row)
      }
    }
  }

  /** Find a row by its name as typed, `client|setname` for a subcommand. */
  named(name: Bin): Row | undefined {
    return this.byName.get(name) ?? this.rows.get(name.toLowerCase())
  }

  /** List the subcommands of a container, none when it is not one. */
  subcommands(name: string): readonly Row[] {
    return this.containers.get(name) ?? []
  }

  /** Find the row that a request means.
   *  @throws invalid, in Redis' words, when there is none or it takes another number of arguments */
  find(argv: readonly Bin[]): Row {
    const row = this.named(argv[0] as Bin)
    if (row === undefined || row.name.includes('|')) throw unknownCommand(argv)
    const chosen = argv.length > 1 && this.containers.has(row.name) ? this.subcommand(row, argv[1] as Bin) : row
    const { arity } = chosen
    const good = arity < 0 ? argv.length >= -arity : argv.length === arity
    if (!good || (chosen.session === undefined && chosen.run === undefined)) throw wrongArity(chosen.name)
    return chosen
  }

  private subcommand(container: Row, name: Bin): Row {
    const row = this.rows.get(`${container.name}|${name.toLowerCase()}`)
    if (row !== undefined) return row
    if (name.toLowerCase() === 'help') return this.help(container)
    const shown = name.slice(0, 128)
    throw new Failure('invalid', `ERR unknown subcommand '${shown}'. Try ${container.name.toUpperCase()} HELP.`)
  }

  /** Make the row of `<container> HELP` from the summaries of its subcommands. */
  private help(container: Row): Row {
    const name = container.name.toUpperCase()
    const lines = [`${name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`]
    for (const row of this.subcommands(container.name)) {
      lines.push((row.name.split('|')[1] as string).toUpperCase(), `    ${row.summary}`)
    }
    lines.push('HELP', '    Print this help.')
    const reply: Value = lines.map((simple) => ({ simple }))
    const { since, group } = container
    const summary = 'Returns helpful text about the subcommands.'
    return { name: `${container.name}|help`, arity: 2, mode: 'session', since, group, summary, session: () => reply }
  }
}

/** @source rejectUnknownCommand in server.c of Redis 7.2: arguments are shown up to 128 bytes together */
function unknownCommand(argv: readonly Bin[]): Failure {
  let shown = ''
  for (const argument of argv.slice(1)) {
    if (shown.length >= 128) break
    shown += `'${argument.slice(0, 128 - shown.length)}' `
  }
  const name = (argv[0] as Bin).slice(0, 128)
  return new Failure('invalid', `ERR unknown command '${name}', with args beginning with: ${shown}`)
}
