/** XML as WebDAV needs it: bodies of requests as trees, and text for answers.
 *
 *  1. A body has a size that is bounded, and no document type: there are no entities to expand or fetch.
 *  2. How deep elements may nest is bounded, as writing a tree recurs. */
import { Failure } from '@dotdo/core/errors'
import { FSX_WEB_XML_BYTES_MAX } from '@dotdo/core/limits'
import { DOMParser, type Element, type Node, onErrorStopParsing, XMLSerializer } from '@xmldom/xmldom'
import type { Context } from 'hono'
import { bodyBytes } from '../body.ts'

/** The namespace of WebDAV. */
export const DAV = 'DAV:'

/** Levels of elements in a body: properties are flat, a few levels of structure inside them. */
const depthMax = 64

/** Read a request's body.
 *  @returns undefined when it is empty
 *  @throws invalid for what is no XML; limit */
export async function readXml(context: Context): Promise<Element | undefined> {
  const bytes = await bodyBytes(context, FSX_WEB_XML_BYTES_MAX)
  const text = new TextDecoder(isUtf16(bytes) ? 'utf-16' : 'utf-8').decode(bytes)
  if (text.trim() === '') return undefined
  if (/<!DOCTYPE/i.test(text)) throw new Failure('invalid', 'the XML has a document type, which is not taken')
  let root: Element | null
  try {
    root = new DOMParser({ onError: onErrorStopParsing }).parseFromString(text, 'text/xml').documentElement
  } catch (error) {
    throw new Failure('invalid', `the body is not XML: ${(error as Error).message.slice(0, 200)}`)
  }
  if (root === null) throw new Failure('invalid', 'the body has no element')
  checkDepth(root)
  checkNames(root)
  return root
}

function isUtf16([first, second]: Uint8Array): boolean {
  return first === 0xff && second === 0xfe
}

function checkDepth(root: Element): void {
  let level: Element[] = [root]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > depthMax) throw new Failure('invalid', `the XML nests deeper than ${depthMax} levels`)
    level = level.flatMap((element) => [...childrenOf(element)])
  }
}

/** A prefix must be declared, and with something.
 *  @source Namespaces in XML 1.0, section 5 */
function checkNames(root: Element): void {
  for (const element of [root, ...Array.from(root.getElementsByTagName('*'))]) {
    if (element.prefix !== null && !element.namespaceURI) {
      throw new Failure('invalid', `the prefix ${element.prefix.slice(0, 80)} is not declared`)
    }
    for (const { name, value } of Array.from(element.attributes)) {
      if (name.startsWith('xmlns:') && value === '') throw new Failure('invalid', `${name.slice(0, 80)} is empty`)
    }
  }
}

/** List the elements in an element. */
export function* childrenOf(element: Element): Generator<Element> {
  for (let node: Node | null = element.firstChild; node !== null; node = node.nextSibling) {
    if (node.nodeType === 1) yield node as Element
  }
}

/** Find an element of WebDAV in another. */
export function childOf(element: Element, name: string): Element | undefined {
  for (const child of childrenOf(element)) if (isDav(child, name)) return child
  return undefined
}

/** Whether an element is one of WebDAV. */
export function isDav(element: Element, name: string): boolean {
  return element.namespaceURI === DAV && element.localName === name
}

/** Write an element so that it stands alone: with every namespace declared. */
export function writeElement(element: Element): string {
  return new XMLSerializer().serializeToString(element)
}

/** Write what is inside an element. */
export function writeInside(element: Element): string {
  const serializer = new XMLSerializer()
  return Array.from(element.childNodes, (node) => serializer.serializeToString(node)).join('')
}

/** Write text so that it is only text. What XML cannot hold becomes the sign for what is unknown. */
export function escapeXml(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what XML cannot hold
      .replace(/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '\ufffd')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      .replaceAll('\r', '&#13;')
  )
}

/** The beginning of every XML answer. */
export const declaration = '<?xml version="1.0" encoding="utf-8"?>\n'

/** How XML answers are labelled. */
export const xmlType = 'application/xml; charset=utf-8'
