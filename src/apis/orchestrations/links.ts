import { links } from '../../http/openapi.ts';

/** Where an answer leads that names an orchestration at this place of its body. */
export function orchestrationLinks(orch_id = '/id') {
  const changes = ['replaceOrchestration', 'deleteOrchestration'];
  return links({ orch_id }, 'getOrchestration', ...changes, 'runOrchestration', 'streamOrchestration');
}

/** Where an answer leads that names a run of an orchestration at this place of its body. */
export function orchestrationRunLinks(run_id = '/run_id') {
  const changes = ['retryOrchestrationRun', 'cancelOrchestrationRun'];
  return links({ run_id }, 'getOrchestrationRun', 'resumeOrchestrationRun', 'streamResumedRun', ...changes);
}
