/** What was typed into the shell, kept in a file: a statement an entry, whatever lines it took. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

/** Entries that are kept. */
const entriesMax = 1_000

/** Tell where history is kept: DOTDO_SQL_HISTORY, or under the user's folder for state.
 *  @source https://specifications.freedesktop.org/basedir-spec/latest/ */
export function historyPath(environment: Readonly<Record<string, string | undefined>>): string {
  const state = environment.XDG_STATE_HOME || join(homedir(), '.local', 'state')
  return environment.DOTDO_SQL_HISTORY || join(state, 'dotdo', 'sql_history')
}

/** Read the history; a file that is missing or not ours is none.
 *  @returns newest first, as readline has it */
export function readHistory(path: string): string[] {
  try {
    const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
    return lines
      .map((line) => String(JSON.parse(line)))
      .reverse()
      .slice(0, entriesMax)
  } catch {
    return []
  }
}

/** Write the history, for its user alone: statements may hold what others must not see.
 *  @param entries newest first
 *  @returns why it could not be written */
export function writeHistory(path: string, entries: readonly string[]): Error | undefined {
  const lines = entries
    .slice(0, entriesMax)
    .reverse()
    .map((entry) => `${JSON.stringify(entry)}\n`)
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileSync(path, lines.join(''), { mode: 0o600 })
    return undefined
  } catch (error) {
    return error as Error
  }
}

/** Put a statement of several lines on one, as readline can recall it; its comments to the line's end become others. */
export function onOneLine(statement: string): string {
  const quoted = /'[^']*(?:''[^']*)*'|"[^"]*(?:""[^"]*)*"/
  const pieces = new RegExp(`${quoted.source}|--[^\\n]*|/\\*[\\s\\S]*?\\*/|[^'"/-]+|[\\s\\S]`, 'g')
  const joined = (statement.match(pieces) ?? []).map((piece) => {
    if (piece.startsWith('--')) return `/*${piece.slice(2).replaceAll('*/', '* /')} */`
    return quoted.test(piece) ? piece : piece.replace(/\s*\n\s*/g, ' ')
  })
  return joined.join('').trim()
}
