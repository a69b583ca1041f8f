/** The test server's own check of signatures, against the examples that AWS publishes. */
import { describe, expect, it } from 'vitest'
import { refuseSignature, signatureOf } from './signature.ts'

const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
const scope = '20130524/us-east-1/s3/aws4_request'
const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
const common = {
  host: 'examplebucket.s3.amazonaws.com',
  'x-amz-date': '20130524T000000Z',
  'x-amz-content-sha256': empty,
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Examples: Signature Calculations" */
const examples = [
  {
    request: { method: 'GET', target: '/test.txt', headers: { ...common, range: 'bytes=0-9' } },
    signedHeaders: 'host;range;x-amz-content-sha256;x-amz-date',
    signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  },
  {
    request: {
      method: 'PUT',
      target: '/test%24file.text',
      headers: {
        ...common,
        date: 'Fri, 24 May 2013 00:00:00 GMT',
        'x-amz-storage-class': 'REDUCED_REDUNDANCY',
        'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
      },
    },
    signedHeaders: 'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class',
    signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  },
  {
    request: { method: 'GET', target: '/?lifecycle', headers: common },
    signedHeaders: 'host;x-amz-content-sha256;x-amz-date',
    signature: 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  },
  {
    request: { method: 'GET', target: '/?max-keys=2&prefix=J', headers: common },
    signedHeaders: 'host;x-amz-content-sha256;x-amz-date',
    signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  },
]

describe('signatures of version 4', () => {
  it.each(examples)('agrees with AWS on $request.method $request.target', ({ request, signedHeaders, signature }) => {
    expect(signatureOf(request, signedHeaders, scope, secret)).toBe(signature)
  })

  it('refuses what is not signed, and what was changed after it was', () => {
    const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: secret, region: 'us-east-1' }
    const [first] = examples as [(typeof examples)[0]]
    const refusalOf = (headers: object, nowMs = Date.parse('2013-05-24T00:00:00Z'), target = '/test.txt') => {
      const who = `Credential=${credentials.accessKeyId}/${scope}`
      const rest = `SignedHeaders=${first.signedHeaders}, Signature=${first.signature}`
      const authorization = `AWS4-HMAC-SHA256 ${who}, ${rest}`
      const request = { method: 'GET', target, headers: { ...first.request.headers, authorization, ...headers } }
      return refuseSignature(request, new Uint8Array(0), credentials, nowMs)?.code
    }
    expect(refusalOf({})).toBeUndefined()
    expect(refusalOf({ range: 'bytes=0-10' })).toBe('SignatureDoesNotMatch')
    expect(refusalOf({}, undefined, '/other.txt')).toBe('SignatureDoesNotMatch')
    expect(refusalOf({ 'if-match': '"a"' })).toBe('AccessDenied')
    expect(refusalOf({ authorization: undefined })).toBe('AccessDenied')
    expect(refusalOf({}, Date.parse('2013-05-24T00:16:00Z'))).toBe('RequestTimeTooSkewed')
    expect(refusalOf({ 'x-amz-content-sha256': '0'.repeat(64) })).toBe('XAmzContentSHA256Mismatch')
  })
})
