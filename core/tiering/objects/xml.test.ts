import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Failure } from '../../errors.ts'
import { escapeXml, findText, getText, parseXml } from './xml.ts'

describe('the XML of S3', () => {
  it('is read: names without their namespace, text with its entities', () => {
    const root = parseXml(
      `\ufeff<?xml version="1.0" encoding="UTF-8"?>
       <!-- a comment -->
       <s3:List xmlns:s3="http://s3.amazonaws.com/doc/2006-03-01/" a='b'>
         <Key>a &amp; b &lt;c&gt; &quot;d&quot; &apos;e&apos; &#233; &#x1D11E;</Key><Size>0</Size><Empty/>
         <Raw><![CDATA[<not> &amp; markup]]></Raw>
       </s3:List>`,
      'List',
    )
    expect(root.children.map(({ name }) => name)).toEqual(['Key', 'Size', 'Empty', 'Raw'])
    expect(getText(root, 'Key')).toBe(`a & b <c> "d" 'e' é 𝄞`)
    expect(getText(root, 'Raw')).toBe('<not> &amp; markup')
    expect(getText(root, 'Empty')).toBe('')
    expect(findText(root, 'Nothing')).toBeUndefined()
    expect(() => getText(root, 'Nothing')).toThrow('<Nothing>')
  })

  const bad = {
    'another root': '<Other/>',
    'no root': 'text',
    nothing: '',
    'two roots': '<List/><List/>',
    'text around the root': '<List/>text',
    'an open element': '<List><Key>a</List>',
    'a closing tag alone': '</List>',
    'a DTD': '<!DOCTYPE List [<!ENTITY a "b">]><List>&a;</List>',
    'an unknown entity': '<List>&nbsp;</List>',
    'a bare ampersand': '<List>a & b</List>',
    'no character': '<List>&#x110000;</List>',
    'a page in HTML': '<!DOCTYPE html><html><body><p>Bad Gateway</body></html>',
  }
  it.each(Object.entries(bad))('is refused with %s', (_, document) => {
    expect(() => parseXml(document, 'List')).toThrow(Failure)
  })

  it('gives back what was escaped', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(getText(parseXml(`<A><B>${escapeXml(text)}</B></A>`, 'A'), 'B')).toBe(text)
      }),
    )
  })

  it('is read or refused, whatever comes', () => {
    const token = fc.constantFrom(
      '<A>',
      '</A>',
      '<B c="d">',
      '</B>',
      '<C/>',
      'text',
      '&amp;',
      '&',
      '<',
      '>',
      ']]>',
      '<!--',
    )
    fc.assert(
      fc.property(fc.array(token), (tokens) => {
        try {
          expect(parseXml(tokens.join(''), 'A').name).toBe('A')
        } catch (error) {
          expect(error).toBeInstanceOf(Failure)
        }
      }),
    )
  })
})
