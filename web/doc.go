// Package web is the dashboard: a page of plain ES modules and CSS, embedded in
// the binary, that speaks the public client protocol and nothing else. There is
// no build step; what is in static is what a browser gets.
//
// js/protocol.js is the browser's client of the protocol and js/book.js the
// local order book, whose checksum it verifies after every message. Prices stay
// decimal text from the wire to the screen (js/format.js); floats only ever
// become pixels.
package web
