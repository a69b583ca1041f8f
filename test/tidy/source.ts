/** Sources as the tidy rules see them: text, lines and a syntax tree. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Comment, parseSync } from 'oxc-parser'

/** The repository's root. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** A node of the syntax tree (ESTree with TypeScript), as loosely as the rules need it. */
export interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  // biome-ignore lint/suspicious/noExplicitAny: the rules look at a handful of the 180 kinds of nodes
  readonly [field: string]: any
}

/** One parsed file. */
export interface Source {
  /** From the root, with slashes. */
  readonly path: string
  readonly text: string
  readonly program: Node
  readonly comments: readonly Comment[]
  /** The line of an offset, from 1. */
  line(offset: number): number
}

/** What a rule has to say about a source. */
export interface Problem {
  readonly line: number
  readonly message: string
}

/** A rule: names what is wrong with one source. */
export type Rule = (source: Source) => Problem[]

/** Parse one file.
 *  @throws Error when it is not valid TypeScript */
export function parse(path: string, text: string): Source {
  const { program, comments, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`)
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  const line = (offset: number) => {
    let low = 0
    let high = starts.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((starts[middle] as number) <= offset) low = middle + 1
      else high = middle
    }
    return low
  }
  return { path, text, program: program as unknown as Node, comments, line }
}

/** The child nodes of a node, in order of their fields. */
function* children(node: Node): Generator<Node> {
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (child !== null && typeof child === 'object' && typeof child.type === 'string') yield child
    }
  }
}

/** Visit a node and everything below it, parents first.
 *  @param visit gets each node with its ancestors, nearest last (borrowed) */
export function walk(node: Node, visit: (node: Node, ancestors: readonly Node[]) => void): void {
  const ancestors: Node[] = []
  const enter = (current: Node) => {
    visit(current, ancestors)
    ancestors.push(current)
    for (const child of children(current)) enter(child)
    ancestors.pop()
  }
  enter(node)
}

const folders = ['core', 'compat', 'fsx', 'gitx', 'dotdo', 'bench', 'test', 'examples', 'scripts']

function* list(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === 'node_modules' || entry.name === 'dist') continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* list(path)
    else if (/\.(ts|mjs)$/.test(entry.name) && !entry.name.endsWith('.d.ts')) yield path
  }
}

/** Parse every source of the repository. */
export function readSources(): Source[] {
  const present = new Set(readdirSync(root))
  return folders
    .filter((folder) => present.has(folder))
    .flatMap((folder) => [...list(join(root, folder))])
    .map((path) => parse(relative(root, path).split(sep).join('/'), readFileSync(path, 'utf8')))
}

/** Whether a file is a test or serves tests only: it may know every layer and the platform. */
export function isTest(path: string): boolean {
  return /^test\/|\.test\.ts$|(^|[./-])(conformance|testing|test-[a-z-]+)(\.ts$|\/)/.test(path)
}

/** Whether a file stands outside of the layers: tests, benches, examples, scripts. */
export function isFree(path: string): boolean {
  return isTest(path) || /^(bench|examples|scripts)\//.test(path)
}
