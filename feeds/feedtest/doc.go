// Package feedtest holds any provider's connector against the contract of
// [feeds.Connector], over a server that plays the provider. An adapter is done
// when Run passes; see docs/adapters.md.
//
// It imports package feeds and nothing else of Quotewire: the server comes as an
// interface, which the simulated providers of package sim have.
package feedtest
