// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package egress attacks the filter of outbound connections: with addresses, with forms of addresses, by redirects, by DNS, and
// in every place where a resource names a host.
package egress

import "fmt"

// reserved are addresses that no resource may name, of every special-purpose range and of the metadata services of clouds.
var reserved = []string{
	"0.1.2.3", "10.0.0.1", "10.96.0.1", "100.64.0.1", "100.100.100.200", "127.9.9.9", "168.63.129.16", "169.254.169.254", "169.254.170.2", "169.254.42.42",
	"172.16.0.1", "172.17.0.1", "172.31.255.255", "192.0.0.192", "192.0.0.10", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.1.1",
	"192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
	"[::]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[::169.254.169.254]", "[::ffff:0:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b::10.0.0.1]",
	"[64:ff9b:1::a9fe:a9fe]", "[100::1]", "[100:0:0:1::1]", "[2001::1]", "[2001:10::1]", "[2001:db8::1]", "[2002:a9fe:a9fe::]", "[2620:4f:8000::1]", "[3fff::1]",
	"[5f00::1]", "[fc00::1]", "[fd00:ec2::254]", "[fd20:ce::254]", "[fe80::1]", "[fe80::1%25lo]", "[fec0::1]", "[ff02::1]", "[4000::1]", "[2606:4700::1%25lo]",
}

// forms are ways to write this machine's own address in a URL, at a port where somebody listens.
func forms(port string) []string {
	var out []string
	for _, host := range []string{
		"127.0.0.1", "127.0.0.1.", "localhost", "LOCALHOST", "localhost.", "LocalHost.", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
		"[::1%25lo]", "0.0.0.0", "0", "[::]", "[::ffff:0.0.0.0]", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.0.0.01",
		"１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "ⓛocalhost", "ｌｏｃａｌｈｏｓｔ", "%6c%6f%63alhost", "127.0.0.1%00.example", "public.example@127.0.0.1", "127.0.0.1#.example",
		"2130706433.", "[::ffff:127.0.0.1%25lo]", "0000:0000::1",
	} {
		out = append(out, "http://"+host+":"+port+"/a.zip")
	}
	return append(out, "http://user:password@127.0.0.1:"+port+"/", "http://127.0.0.1:"+port+"\\@public.example/", "HTTP://127.0.0.1:"+port+"/", "//127.0.0.1:"+port+"/",
		"http:///127.0.0.1:"+port+"/", "http:127.0.0.1:"+port+"/", "file:///etc/passwd", "unix:///var/run/docker.sock", "gopher://127.0.0.1:"+port+"/", "ftp://127.0.0.1:"+port+"/")
}

// answers are what the name server says. Names lead to this machine and to others in ways that a check of names, or one before
// the connection, does not see.
var answers = map[string][][]string{
	"loop.example": {{"127.0.0.1"}}, "loop6.example": {{"::1"}}, "mapped.example": {{"::ffff:127.0.0.1"}}, "zero.example": {{"0.0.0.0"}}, "zero6.example": {{"::"}},
	"flip.example": {{"8.8.8.8"}, {"127.0.0.1"}}, "flop.example": {{"8.8.8.8"}, {"::1", "127.0.0.1"}}, "many.example": {{"10.0.0.1", "127.0.0.1", "::1", "169.254.169.254"}},
	"compatible.example": {{"::127.0.0.1"}}, "nat64.example": {{"64:ff9b::7f00:1"}}, "sixtofour.example": {{"2002:7f00:1::1"}}, "metadata.example": {{"169.254.169.254"}},
	"azure.example": {{"168.63.129.16"}}, "oracle.example": {{"192.0.0.192"}}, "alibaba.example": {{"100.100.100.200"}}, "amazon6.example": {{"fd00:ec2::254"}},
	"api.example": {{"10.96.0.1"}}, "127.0.0.1.wildcard.example": {{"127.0.0.1"}},
	// One of them is on the list of addresses, and no other.
	"listed.example": {{"127.0.0.1"}}, "listed.example.evil.example": {{"127.0.0.1"}}, "notlisted.example": {{"127.0.0.1"}}, "a.listed.example": {{"127.0.0.1"}}, "listed-example": {{"127.0.0.1"}},
}

// flips are the names whose first answer is a public address. It is taken before the attack, so that only the second is left.
var flips = []string{"flip.example", "flop.example"}

// redirects are where a server that may be asked sends the client to.
func redirects(port string) []string {
	out := []string{
		"http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://[fd00:ec2::254]/", "http://metadata.example/", "http://loop.example:" + port + "/", "http://flip.example:" + port + "/",
		"http://nat64.example:" + port + "/", "https://127.0.0.1:" + port + "/", "file:///etc/passwd", "ftp://127.0.0.1:" + port + "/", "http://listed.example.evil.example:" + port + "/",
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "１２７.0.0.1", "127.0.0.1.", "user:password@127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]"} {
		out = append(out, "http://"+host+":"+port+"/", "//"+host+":"+port+"/")
	}
	return out
}

// hosts are what resources may name that have hosts and ports only: endpoints, registries and metrics servers.
func hosts(port string) []string {
	out := []string{"169.254.169.254", "10.0.0.1:9000", "[fd00::1]:9000", "metadata.example", "listed.example:1"}
	for _, host := range []string{"127.0.0.1", "localhost", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1", "loop.example", "mapped.example", "many.example", "a.listed.example"} {
		out = append(out, fmt.Sprintf("%s:%s", host, port))
	}
	return out
}

// public are addresses of servers that anyone may name.
var public = []string{
	"1.1.1.1", "8.8.8.8", "9.9.9.9", "13.107.42.14", "52.216.0.1", "100.63.255.255", "100.128.0.1", "104.16.0.1", "140.82.121.4", "151.101.1.69", "168.63.129.15", "169.253.255.255",
	"169.255.0.1", "172.15.255.255", "172.32.0.1", "185.199.108.133", "192.0.1.1", "192.167.255.255", "192.169.0.1", "198.17.255.255", "198.20.0.1", "223.255.255.255",
	"2001:200::1", "2001:4860:4860::8888", "2003::1", "2600:1f00::1", "2606:4700:4700::1111", "2620:fe::fe", "2a00:1450:4001::1", "2a04:4e42::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
}
