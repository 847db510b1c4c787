// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package envelope_test

// What @capgo/cli 8.68.1 made: key create, bundle zip and bundle encrypt of a folder with one file of 30 bytes. The old checksum
// is that of the same CLI and archive where @capgo/capacitor-updater 7.29.0 is installed.
const (
	cliKey = `-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAs9u4ZBdBqn8ONfJeDCRDV41OU0aHVp9dXguRMgSB2C3U9kR00g5Q
eO4chXxfngACVudyCQXPIIuoEwEt722oab7FN5frqDB0mpPHG9JyWjlWOFaUaEJI
+Mccz5Pex5trUQylEaR55blI3CKahiLynOYX8/xwHTdThvXfDhPixVNH3Wnalvdj
2ZSAaFtCxd5DT5BtPzf8wgUn3QvqAyZ5eu/uYdCHoCzpzMY8t0G+LMDb/SMsgj7D
8kj3RG7Rg07R6t6IXRbrsw8GtP8LgK7/rzbsSh1lDlOWQmRk8RH/hGWtp6Z1KXL8
g2vhve/qYFYw8YIAvrX6UNpl5lae7DVBvQIDAQAB
-----END RSA PUBLIC KEY-----
`
	cliArchiveSum = "d87e529dcfc773239b0a372527433c742c28c4fd0677906a4b63833653c42863"
	cliSessionKey = "vReorZH335sHZZqmG4wNAw==:odxPpjgEjghJcVdfdt51Y3jysxK+Ihex70lpwKfS6SJe2DuHFKspCWBLr3XtnXdY6WqwyAWS2cInfKsSAlQqq" +
		"yfDMjOpFrRNqpgAtBS0FamXed2YTf6Fbqk2P+FVXepwMp+uBZ4zt99sdTJbL8UlWRwZx9AkcYjQHNWyVmlGtj0xzRC+W2CMrL6L3UhPRyAlxC1" +
		"bUsYNTa3B8ao1gQvMOLbNe9HTvnq2B+e9PCyNDEuxjabuE7FlstZ8yg03y4yC17IoGOMyXLk+FTHkH2w3PYbcK09jcbzuWKj505e/u4k1/hbwH" +
		"z+ugFX5H42GQpq8bFH/kJPZ2AkiwE/D450BmQ=="
	cliChecksum = "24e25a0a966deb9cbf9ed5815319802830e31c5d1179be9b918ce30a55634359b8306937a29af480704f15890abdcf6eca810fcd685085" +
		"68c4688382c485578e81546d3fea6f3271b39a731f2d7bd1f3514ae78ecae6fb352bc21490821bd7e194385d09872c31e1700bbf5bf55b" +
		"1e967026a39adad4c89777e4984780fcf7cae1f9ea7aa5b28e4b34fc2c770ef3a03ef27d0a07b3ede632fb80c99c91f25497fa968d2a12" +
		"59f49153f146d337ad5e2e32fb836e9686479a5bd19c4eca14d6627389d696101353ce4c18d414c8bce469c777e1e65edf0a5140afea61" +
		"0355189fd370882f8414b16cfd453a9f682daee7da16f5b1e3e6559d9004ae301de49f14"
	cliOldChecksum = "VEme62jg7bsGtaL8RyIe/vO/mKjag277GOATbB8jWaKhzKxatP8pm7eu6oQhrzcS3ip8EV14rZC8rrt4T+Fx3XNPGxOjPilxfrWVLAb9ZPQrEJ" +
		"rY0M7jh6B8DwlSYPJg9RuY3q4Z0TW2a2HIhf4i2nijU1M0x+ODA6VlDi8L+gmH4ntxQvkTBNEpGqzNFL7zzWBnNrxX1DBkAg6bG6ykWmyktYO7" +
		"6Nv2rVDlkKVSDpgTg1/4qUwTHaXa1bRQtGRjkM+0l0AJgfX4clIGh/hghgEwoQhvdtl8xoWwPyhjB0R8rn1ocPdonxxyrsKDuVw0gfVKs80mET" +
		"gxrKv7haRnWA=="
	cliArtifact = "U3xpQ1bRZ3GrFGq8olZtu1JUbr15AfnTmgR7BkgQwowT/kvv+hV/hxOfBwkE8hGZe7SFu9l2w3yW7lvdGnosUFLo4ymDeMJXw+00Ayd21jGoTz" +
		"kEqmVhMYXLjw/hAyXUFDmdxj59xb45JareDDM7ANATiI8wHfAcLIX3kL69wa6fs6zBPg1MJZz4ZmwGYgF9W+4mNTnRkPadthzC0AVPtw=="
)
