import ipaddr from 'ipaddr.js';

/** Which IP addresses are everybody's, and which are somebody's inside. */

export type Cidr = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** @throws Error when it is none. */
export function parseCidr(cidr: string): Cidr {
  try {
    return ipaddr.parseCIDR(cidr);
  } catch {
    throw new Error(`"${cidr}" is not a CIDR such as 10.0.0.0/8 or ::1/128`);
  }
}

/**
 * Where clouds hand out the credentials of a machine to whoever asks from it, with all that is link-local: AWS and most
 * others, AWS and Google by IPv6, Scaleway, Alibaba, Oracle; and Azure, whose address looks like a public one.
 */
const metadata = [
  '169.254.0.0/16',
  'fe80::/10',
  'fd00:ec2::254/128',
  'fd20:ce::254/128',
  'fd00:42::42/128',
  '100.100.100.200/32',
  '192.0.0.192/32',
  '168.63.129.16/32',
].map(parseCidr);

/** ipaddr.js calls some embedded IPv4 addresses "unicast" too, so IPv6 must also lie in 2000::/3, all that is routed. */
export function isPublicAddress(address: string): boolean {
  const ip = parse(address);
  if (ip?.range() !== 'unicast' || matches(ip, metadata)) return false;
  return ip instanceof ipaddr.IPv4 || ip.match(ipaddr.IPv6.parseCIDR('2000::/3'));
}

/** Whether one of these ranges opens an address. Those of metadata are opened by no range but their own: /32 or /128. */
export function isWithin(address: string, cidrs: Cidr[]): boolean {
  const ip = parse(address);
  if (!ip) return false;
  const exact = cidrs.filter(([network, bits]) => bits === network.toByteArray().length * 8);
  return matches(ip, matches(ip, metadata) ? exact : cidrs);
}

function matches(ip: ipaddr.IPv4 | ipaddr.IPv6, cidrs: Cidr[]): boolean {
  return cidrs.some(([network, bits]) => ip.kind() === network.kind() && ip.match(network, bits));
}

/** IPv4 inside `::ffff:` comes out as IPv4; an address with a zone id is refused, its range says nothing. */
function parse(address: string) {
  return address.includes('%') || !ipaddr.isValid(address) ? undefined : ipaddr.process(address);
}
