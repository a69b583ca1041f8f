/** A reader of the XML that S3 answers with, and a writer of the little that it asks for.
 *
 *  Own code, and no library: S3's documents are elements, text and attributes nobody reads (a namespace). A parser of
 *  everything XML is costs a Worker 60 KB, and brings what must then be switched off (entities of a DTD). This one
 *  refuses what it does not know, so a page of a proxy in HTML is a failure and never an empty list.
 *
 *  @source https://www.w3.org/TR/xml/ (elements, text, CDATA, comments, character references; no DTD) */
import { Failure } from '../../errors.ts'

/** An element: its local name, its own text, its children in order. */
export interface Element {
  readonly name: string
  readonly text: string
  readonly children: readonly Element[]
}

interface Open {
  name: string
  tag: string
  text: string
  children: Element[]
}

const entities: { readonly [name: string]: string } = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

const attributes = String.raw`(?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*`
/** One piece of a document: a comment, CDATA, a declaration, a closing or an opening tag, or text up to the next. */
const piece = new RegExp(
  [
    '<!--[^]*?-->',
    String.raw`<!\[CDATA\[([^]*?)\]\]>`,
    String.raw`<\?[^]*?\?>`,
    String.raw`</([\w:.-]+)\s*>`,
    String.raw`<([\w:.-]+)${attributes}\s*(/?)>`,
    '([^<]+)',
  ].join('|'),
  'y',
)

const refuse = (what: string, at: number) => new Failure('unavailable', `not XML of S3: ${what} at ${at}`)

function decode(text: string, at: number): string {
  return text.replace(/&([^;&]*);?/g, (all, name: string) => {
    const known = entities[name]
    if (known !== undefined && all.endsWith(';')) return known
    const code = /^#(?:x([0-9a-f]{1,6})|([0-9]{1,7}))$/i.exec(name)
    const point = code === null ? -1 : Number.parseInt(code[1] ?? (code[2] as string), code[1] === undefined ? 10 : 16)
    if (!all.endsWith(';') || point < 0 || point > 0x10ffff) throw refuse(`the entity ${all.slice(0, 20)}`, at)
    return String.fromCodePoint(point)
  })
}

const localName = (tag: string) => tag.slice(tag.indexOf(':') + 1)

/** Read a document.
 *  @param rootName the element it must be
 *  @throws unavailable when it is anything else: whatever answered was not S3 */
export function parseXml(document: string, rootName: string): Element {
  const top: Open = { name: '', tag: '', text: '', children: [] }
  const stack = [top]
  piece.lastIndex = document.startsWith('\ufeff') ? 1 : 0
  while (piece.lastIndex < document.length) {
    const at = piece.lastIndex
    const match = piece.exec(document)
    if (match === null) throw refuse(JSON.stringify(document.slice(at, at + 40)), at)
    const [, cdata, closing, opening, selfClosing, text] = match
    const open = stack[stack.length - 1] as Open
    if (cdata !== undefined) open.text += cdata
    else if (text !== undefined) open.text += decode(text, at)
    else if (opening !== undefined) {
      const element: Open = { name: localName(opening), tag: opening, text: '', children: [] }
      open.children.push(element)
      if (selfClosing === '') stack.push(element)
    } else if (closing !== undefined) {
      if (stack.length === 1 || open.tag !== closing) throw refuse(`</${closing}> closes <${open.tag}>`, at)
      stack.pop()
    }
  }
  const [root] = top.children
  if (stack.length !== 1) throw refuse(`<${stack[1]?.tag}> is not closed`, document.length)
  if (root?.name !== rootName || top.children.length !== 1 || top.text.trim() !== '') {
    throw refuse(`<${root?.name}> instead of <${rootName}>`, 0)
  }
  return root
}

/** Read the text of a child. @returns undefined when there is none */
export function findText(element: Element, name: string): string | undefined {
  return element.children.find((child) => child.name === name)?.text
}

/** Read the text of a child that must be there.
 *  @throws unavailable when it is not */
export function getText(element: Element, name: string): string {
  const text = findText(element, name)
  if (text === undefined) throw new Failure('unavailable', `S3 left <${name}> out of <${element.name}>`)
  return text
}

/** Write text so that it can stand in an element. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
