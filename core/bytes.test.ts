import { expect, test } from 'vitest'
import { bytesCases } from './bytes.conformance.ts'

test.each(bytesCases)('$name', ({ run }) => run(expect))
