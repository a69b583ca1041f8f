import { expect, test } from 'vitest'
import { languageCases } from './language.conformance.ts'

test.each(languageCases)('$name', ({ run }) => run(expect))
