import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import { icebergOverrides, lakePlaceOf } from './lake.ts'
import { fileSource, settle } from './settings.ts'

const placeOf = (values: Record<string, unknown>) => lakePlaceOf(settle([fileSource('c.json', JSON.stringify(values))]))
const keys = { lakeAccessKeyId: 'id', lakeSecretAccessKey: 'secret' }

it.each([
  [{}, { location: resolve('.dotdo/lake'), stores: {} }],
  [{ data: '/d' }, { location: '/d/lake', stores: {} }],
  [{ lake: 'cold' }, { location: resolve('cold'), stores: {} }],
  [{ lake: 'off' }, undefined],
  [{ lake: 'gs://b' }, { location: 'gs://b', stores: {} }],
  [
    { lake: 's3://b/p', ...keys },
    { location: 's3://b/p', s3: { accessKeyId: 'id', secretAccessKey: 'secret' }, stores: {} },
  ],
  [
    { lake: 's3://b', ...keys, lakeEndpoint: 'http://e', lakeRegion: 'r', lakeSessionToken: 't' },
    {
      location: 's3://b',
      s3: { accessKeyId: 'id', secretAccessKey: 'secret', endpoint: 'http://e', region: 'r', sessionToken: 't' },
      stores: {},
    },
  ],
  [
    { lake: '/l', catalog: 'http://c', catalogToken: 't', catalogWarehouse: 'w' },
    { location: '/l', stores: {}, catalog: { uri: 'http://c', token: 't', warehouse: 'w' } },
  ],
])('settings %j are a place', (values, place) => {
  expect(placeOf(values)).toEqual(place)
})

it('stores take from the lake what they do not say, but for its session with other credentials', () => {
  const stores = {
    disk: { location: '/mnt' },
    same: { location: 's3://b/old', storageClass: 'GLACIER_IR' },
    other: { location: 's3://c', accessKeyId: 'x', secretAccessKey: 'y', region: 'q' },
  }
  const place = placeOf({ lake: 's3://b/new', ...keys, lakeEndpoint: 'http://e', lakeSessionToken: 't', stores })
  expect(place?.stores).toEqual({
    disk: { location: '/mnt' },
    same: {
      location: 's3://b/old',
      s3: {
        accessKeyId: 'id',
        secretAccessKey: 'secret',
        endpoint: 'http://e',
        sessionToken: 't',
        storageClass: 'GLACIER_IR',
      },
    },
    other: { location: 's3://c', s3: { accessKeyId: 'x', secretAccessKey: 'y', endpoint: 'http://e', region: 'q' } },
  })
})

it('clients of /iceberg are told where the store is, and no secret', () => {
  const place = placeOf({ lake: 's3://b', ...keys, lakeEndpoint: 'http://e', lakeRegion: 'r' })
  expect(place && icebergOverrides(place)).toEqual({
    's3.endpoint': 'http://e',
    's3.path-style-access': 'true',
    's3.region': 'r',
    'client.region': 'r',
  })
  expect(icebergOverrides({ location: '/l' })).toEqual({})
})
