// The program that deno is started with. Modules that are loaded from it on are checked against the permissions; of a program
// that deno is given itself, static imports are not, and would read the files of this machine.
await import(new URL(globalThis.Deno.args[0], 'file:///').href);
