import { isSameSecret } from '../crypto.ts';
import { DomainError } from '../errors.ts';

export type RegistrationSettings = { REGISTRATION: 'open' | 'invite' | 'closed'; REGISTRATION_CODES: string[] };

/** Whether this is a code that lets somebody register. */
export function isInvited({ REGISTRATION_CODES: codes }: RegistrationSettings, invite_code: string): boolean {
  return codes.map((code) => isSameSecret(invite_code, code)).includes(true);
}

/** Whoever may not register learns that before anything else, and nothing of whether an e-mail is taken. */
export function requireRegistration(settings: RegistrationSettings, invite_code: string | undefined): void {
  if (settings.REGISTRATION === 'open') return;
  if (settings.REGISTRATION === 'closed') {
    throw closed('This server takes no registrations. Its operator gives out accounts.');
  }
  if (invite_code === undefined)
    throw closed('This server registers by invitation: send the invite_code that you got.');
  if (!isInvited(settings, invite_code)) throw closed('This invite_code is not one of this server, or not any more.');
}

function closed(message: string): DomainError {
  return new DomainError('REGISTRATION_CLOSED', message);
}
