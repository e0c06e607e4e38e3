/** Which indexing of a document is meant: it may be begun several times. */
export type IndexingRef = { document_id: string; attempt: number };

/** The workflow of an indexing, by its name in Temporal. */
export const indexingWorkflowType = 'indexDocument';

/** The id of its workflow. */
export function indexingWorkflowId({ document_id, attempt }: IndexingRef): string {
  return `${document_id}/index/${attempt}`;
}

/** Which indexing this is the workflow of. */
export function indexingOf(workflow_id: string): IndexingRef {
  const [document_id = '', , attempt] = workflow_id.split('/');
  return { document_id, attempt: Number(attempt) };
}
