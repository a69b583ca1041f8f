/** Rules on knowledge: which layer imports which, and who may touch the platform.
 *  ARCHITECTURE.md, section 3, as a table. */
import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { isFree, type Node, type Problem, type Source, walk } from './source.ts'

/** Every layer with the layers it may import, besides itself. */
const mayImport = {
  base: [],
  shard: ['base'],
  cdc: ['base', 'shard'],
  tiering: ['base', 'shard', 'cdc'],
  host: ['base', 'shard', 'cdc', 'tiering'],
  engine: ['base', 'shard', 'cdc', 'tiering'],
  fsx: ['base', 'shard', 'cdc', 'tiering', 'engine'],
  gitx: ['base', 'shard', 'cdc', 'tiering', 'engine', 'fsx'],
  dialect: ['base', 'shard', 'cdc', 'tiering', 'engine', 'fsx', 'gitx'],
  // The drop-in client of a dialect brings its own fabric, so it chooses a host.
  client: ['base', 'shard', 'cdc', 'tiering', 'engine', 'fsx', 'gitx', 'host', 'dialect'],
  dotdo: ['base', 'shard', 'cdc', 'tiering', 'engine', 'fsx', 'gitx', 'host', 'dialect', 'client'],
} as const

type Layer = keyof typeof mayImport

/** The layer of a path; undefined for a file of no layer, which is a mistake of its own. */
function layerOf(path: string): Layer | undefined {
  if (/^core\/(errors|limits|limits-fsx|limits-redis|bytes)(\.ts)?$/.test(path)) return 'base'
  // The interface of the filesystem is made of streams, and its entry opens a fabric: both are a host's.
  if (/^fsx\/(api\/|index(\.ts)?$)/.test(path)) return 'client'
  const folder = /^(?:core\/(shard|cdc|tiering|host|engine)|(fsx|gitx|dotdo))(?:\/|$)/.exec(path)
  if (folder !== null) return (folder[1] ?? folder[2]) as Layer
  // A dialect's table declarations say what its engine stores.
  if (/^compat\/[^/]+\/(engine\/|tables\.ts$)/.test(path)) return 'engine'
  if (/^compat\/[^/]+\/((client|index)\.ts$|clients\/)/.test(path)) return 'client'
  return path.startsWith('compat/') ? 'dialect' : undefined
}

const dialectOf = (path: string) => /^compat\/([^/]+)\//.exec(path)?.[1]

/** One import of a source. */
export interface Import {
  readonly specifier: string
  /** Whether only types are imported, which nothing is left of when it runs. */
  readonly isType: boolean
  readonly line: number
}

/** List what a source imports, by statement, by `import()` and by a type's `import('...')`. */
export function importsOf(source: Source): Import[] {
  const found: Import[] = []
  walk(source.program, (node) => {
    const isImport = /^(ImportDeclaration|ExportNamedDeclaration|ExportAllDeclaration|ImportExpression|TSImportType)$/
    if (!isImport.test(node.type)) return
    const from = node.source ?? node.argument
    const specifier = from?.value ?? from?.literal?.value
    if (typeof specifier === 'string') {
      const isType = node.importKind === 'type' || node.exportKind === 'type' || node.type === 'TSImportType'
      found.push({ specifier, isType, line: source.line(node.start) })
    }
  })
  return found
}

/** Where an import of our own code leads, as a path from the root; undefined for other packages. */
function resolve(from: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(from), specifier)
  const own = /^@dotdo\/([^/]+)(?:\/(.*))?$/.exec(specifier)
  if (own === null) return specifier === 'dotdo' || specifier.startsWith('dotdo/') ? specifier : undefined
  const [, name, path] = own
  if (name === 'core' || name === 'fsx' || name === 'gitx') {
    if (path === undefined) return `${name}/index.ts`
    const isClient = name === 'fsx' && /^(filesystem|durable-object)$/.test(path)
    return isClient ? `fsx/api/${path}.ts` : `${name}/${path}`
  }
  return `compat/${name}/${path ?? 'index'}.ts`
}

/** Why `from` must not import `to`; undefined when it may. */
function refusal(from: string, to: string): string | undefined {
  const [above, below] = [layerOf(from), layerOf(to)]
  if (above === undefined) return `${from} belongs to no layer`
  if (below === undefined) return `${to} belongs to no layer, or is for tests only`
  const [ours, theirs] = [dialectOf(from), dialectOf(to)]
  if (ours !== undefined && theirs !== undefined && ours !== theirs) return `dialect ${ours} knows dialect ${theirs}`
  if (from.endsWith('/codec.ts') && below === 'engine') return 'a codec knows an engine'
  if (above === below || (mayImport[above] as readonly Layer[]).includes(below)) return undefined
  return `${above} knows ${below}`
}

/** Hold the layers: who may import whom. */
export function layers(source: Source): Problem[] {
  if (isFree(source.path)) return []
  const problems: Problem[] = []
  for (const { specifier, line } of importsOf(source)) {
    const to = resolve(source.path, specifier)
    if (to === undefined) continue
    const message = isFree(to) ? `imports ${to}, which is for tests` : refusal(source.path, to)
    if (message !== undefined) problems.push({ line, message: `${message} (${specifier})` })
  }
  return problems
}

/** Whether a file may know the platform it runs on. */
function isHost(path: string): boolean {
  return isFree(path) || path.startsWith('core/host/') || path.startsWith('dotdo/')
}

const nativeAddons = /^(better-sqlite3|libsql|@duckdb\/|chdb)/

/** Keep the platform's modules (node:*, cloudflare:*, native addons) to the hosts. */
export function platformImports(source: Source): Problem[] {
  if (isHost(source.path)) return []
  return importsOf(source)
    .filter(({ specifier, isType }) => {
      if (isType) return false
      return isBuiltin(specifier) || specifier.startsWith('cloudflare:') || nativeAddons.test(specifier)
    })
    .map(({ specifier, line }) => ({ line, message: `imports ${specifier}; only core/host and dotdo may` }))
}

/** Names of the platform that bring time, randomness, output or the process. */
const ambientNames = new Set([
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'crypto',
  'console',
  'process',
  'performance',
  'scheduler',
])
const ambientMembers = new Set(['Date.now', 'Math.random', 'AbortSignal.timeout', 'Temporal.Now'])

/** Name what a node takes from the platform; undefined for nothing. */
function ambientUse(node: Node, bound: ReadonlySet<string>): string | undefined {
  const isGlobal = (one: Node) => one?.type === 'Identifier' && !bound.has(one.name)
  if (node.type === 'MemberExpression' && isGlobal(node.object) && !node.computed) {
    const name = `${node.object.name}.${node.property.name}`
    if (ambientMembers.has(name)) return name
    if (node.object.name === 'globalThis' && ambientNames.has(node.property.name)) return name
  }
  if (/^(New|Call)Expression$/.test(node.type) && isGlobal(node.callee) && node.callee.name === 'Date') {
    if (node.type === 'CallExpression' || node.arguments.length === 0) return 'the current Date'
  }
  return isGlobal(node) && ambientNames.has(node.name) ? node.name : undefined
}

/** Whether an identifier is only a name of a member, key or type, not a value that is read. */
function isLabel(node: Node, parent: Node | undefined): boolean {
  if (parent === undefined) return false
  if (parent.type === 'MemberExpression') return parent.property === node && !parent.computed
  if (/^TS/.test(parent.type)) return !/^TS(As|Satisfies|NonNull|TypeAssertion|Instantiation)/.test(parent.type)
  return 'key' in parent && parent.key === node && !parent.computed && !parent.shorthand
}

/** The names that a source binds itself, anywhere: they are not the platform's. */
function boundNames(source: Source): Set<string> {
  const bound = new Set<string>()
  const bind = (pattern: Node | null | undefined) => {
    if (!pattern) return
    if (pattern.type === 'Identifier') bound.add(pattern.name)
    if (pattern.type === 'AssignmentPattern') bind(pattern.left)
    if (pattern.type === 'RestElement') bind(pattern.argument)
    if (pattern.type === 'TSParameterProperty') bind(pattern.parameter)
    for (const one of pattern.elements ?? []) bind(one)
    if (pattern.type === 'ObjectPattern') for (const one of pattern.properties) bind(one.value ?? one)
  }
  walk(source.program, (node) => {
    if (node.type === 'VariableDeclarator' || /^(Function|Class)Declaration$/.test(node.type)) bind(node.id)
    if (/Function/.test(node.type)) for (const one of node.params ?? []) bind(one)
    if (/^Import.*Specifier$/.test(node.type)) bind(node.local)
    if (node.type === 'CatchClause') bind(node.param)
  })
  return bound
}

/** Keep time, randomness, timers, logs and the process to the hosts: that is what makes the simulator possible. */
export function ambient(source: Source): Problem[] {
  if (isHost(source.path)) return []
  const problems: Problem[] = []
  const bound = boundNames(source)
  walk(source.program, (node, ancestors) => {
    const use = ambientUse(node, bound)
    if (use === undefined || (node.type === 'Identifier' && isLabel(node, ancestors.at(-1)))) return
    problems.push({ line: source.line(node.start), message: `uses ${use}; take it as an argument` })
  })
  return problems
}
