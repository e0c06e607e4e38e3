import type { Work } from '../db/work.ts';
import type { Material } from './prompts/blocks.ts';

/** The files that a run was given, as data in a prompt: those of its goal, and those that came with answers to these tasks, or to all. */
export function filesFor({ files }: Work, task_ids?: string[]): Material[] {
  return files
    .filter(({ task_id }) => task_id === null || !task_ids || task_ids.includes(task_id))
    .map(({ name, media_type, size, task_id, text }) => ({
      by: 'file',
      text: text ?? 'This file is no text, and what is in it is not given.',
      attributes: { ...(task_id !== null && { from: task_id }), name, media_type, size: `${size} bytes` },
    }));
}
