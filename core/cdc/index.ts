/** @dotdo/core/cdc: following the log: the one loop, merged feeds with resume tokens, filters and event encodings. */
export {
  type ChangeEvent,
  changedFields,
  type DebeziumEnvelope,
  type DebeziumOperation,
  type Document,
  isPublic,
  type Operation,
  type Origin,
  operationOf,
  operations,
  toDebezium,
  toEvent,
} from './event.ts'
export { Feed, type FeedItem, type FeedOptions, type HistoryLost, openFeed } from './feed.ts'
export { compileFilter, compileGlob, type Filter } from './filter.ts'
export {
  type Batch,
  type Bookmark,
  type FollowOptions,
  follow,
  Patience,
  type Source,
  type Stop,
  StopSwitch,
} from './follow.ts'
export { databaseSource, type FeedSource, shardSource } from './source.ts'
export { decodeToken, encodeToken, type Vector } from './token.ts'
