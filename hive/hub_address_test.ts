import assert from "node:assert/strict";
import { addressesOf, isPrivateAddress } from "./hub_address.ts";

Deno.test("addresses of networks, of this machine and of nobody are private; those of the internet are not", () => {
  const inside = [
    ...["127.0.0.1", "127.255.0.1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254"],
    ...["100.64.0.1", "0.0.0.0", "198.18.0.1", "224.0.0.1", "255.255.255.255"],
    ...["::1", "::", "[::1]", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "ff02::1"],
    ...["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1"],
  ];
  for (const address of inside) assert.ok(isPrivateAddress(address), address);
  const outside = [
    ...["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "192.167.0.1", "100.128.0.1", "223.255.255.255"],
    ...["2606:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"],
    ...["huggingface.co", "10.0.0.1.example"],
  ];
  for (const address of outside) assert.ok(!isPrivateAddress(address), address);
});

Deno.test("an address is its own; a name that nobody knows has none", async () => {
  assert.deepEqual(await addressesOf("[::1]"), ["::1"]);
  assert.deepEqual(await addressesOf("127.0.0.1"), ["127.0.0.1"]);
  assert.deepEqual(await addressesOf("nobody.invalid"), []);
  assert.ok((await addressesOf("localhost")).every(isPrivateAddress));
});
