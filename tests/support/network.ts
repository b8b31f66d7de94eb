/**
 * An address of this machine that others could call, for daemons that listen on the network.
 *
 * @module
 */

/** Where to listen, and where that is called. Without a network it is every address, called on loopback. */
export interface NetworkAddress {
  readonly listen: string;
  readonly address: string;
}

/** Returns this machine's own address on a network. */
export function networkAddress(): NetworkAddress {
  const isOutside = (one: Deno.NetworkInterfaceInfo) => one.family === "IPv4" && !/^(127|169\.254)\./.test(one.address);
  const own = Deno.networkInterfaces().find(isOutside)?.address;
  return own === undefined ? { listen: "0.0.0.0", address: "127.0.0.1" } : { listen: own, address: own };
}
