// Package auth knows who a client is and what it may see: API keys, JSON Web
// Tokens (RFC 7519) and the plans that give them their rights.
//
// A [Guard] turns what a client shows into [Rights], or refuses it. Rights are
// immutable and say yes or no to one (symbol, channel, venue) at a time: on what
// terms, how deep, how often, and how late. Whoever serves data asks them, and
// nothing else.
package auth
