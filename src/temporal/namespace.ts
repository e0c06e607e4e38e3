/** What runs need of a namespace of Temporal. */

/** The search attributes that runs carry; `OrchflowAccount` is an id and no personal data: they are never encrypted. */
export const searchAttributes = {
  OrchflowAccount: 'Keyword',
  OrchflowStatus: 'Keyword',
  OrchflowWaitingTasks: 'KeywordList',
} as const;

/** Finished runs can be looked at in the Temporal Web UI for so long. */
export const retentionSeconds = 30 * 24 * 3600;
