package wire

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quotewire/quotewire/market"
)

// Format is how messages are encoded. Its methods are the writing side of the hot
// path: they append to the caller's buffer and allocate nothing of their own.
//
// A message of a stream is begun with [Format.BeginSnapshot], [Format.BeginDelta]
// or [Format.BeginTrade], then come the fields of its channel, and [Format.Finish]
// makes the message that is sent. So one piece of code says what a message holds,
// in either format.
type Format uint8

// The formats.
const (
	FormatJSON   Format = iota // text frames; messages are separated by "\n"
	FormatProto                // binary frames, see package wirev1
	FormatEvents               // Server-Sent Events: each message is one, of JSON
)

// NumFormats is the number of formats, for tables by format.
const NumFormats = 3

// String returns the WebSocket subprotocol of the format; events have none and
// give their media type.
func (f Format) String() string {
	switch f {
	case FormatProto:
		return SubprotocolProto
	case FormatEvents:
		return "text/event-stream"
	}
	return SubprotocolJSON
}

// eventStart is what a message begins with where it is an event.
const eventStart = "data: "

// start returns what a message begins with.
func (f Format) start() string {
	if f == FormatEvents {
		return eventStart
	}
	return ""
}

// Separator is what stands between two messages of one frame.
func (f Format) Separator() string {
	switch f {
	case FormatProto:
		return ""
	case FormatEvents:
		return "\n\n"
	}
	return "\n"
}

// Key is a field: its name in JSON and its number in Protocol Buffers.
type Key struct {
	Name   string
	Number protowire.Number
}

// Field numbers of wirev1 that are not keys of a channel's content.
const (
	frameMessages   = 1
	numberCleared   = 15 // of every content that has such a list
	messageSnapshot = 9
	messageDelta    = 10
	messageTrade    = 11
	messageBar      = 12
	messageStatus   = 13
)

// contents are the field numbers of the channels' contents in a snapshot or update.
var contents = [NumChannels]protowire.Number{ChannelQuote: 10, ChannelBook: 11, ChannelTrade: 12, ChannelTicker: 13, ChannelStatus: 20, ChannelBar: 21}

// Mark is where something that was begun goes on.
type Mark int

// BeginSnapshot begins a snapshot.
func (f Format) BeginSnapshot(dst []byte, h *Head) ([]byte, Mark) {
	if f != FormatProto {
		return AppendSnapshot(dst, h), Mark(messageSnapshot)
	}
	dst = appendProtoUint(dst, 1, h.SID)
	dst = appendProtoString(dst, 2, h.Channel.String())
	dst = appendProtoString(dst, 3, h.Symbol)
	if h.Venue != Consolidated {
		dst = appendProtoString(dst, 4, h.Venue)
	}
	dst = appendProtoString(dst, 5, h.Epoch)
	dst = appendProtoUint(dst, 6, h.Seq)
	return f.times(dst, h, messageSnapshot)
}

// BeginDelta begins a delta.
func (f Format) BeginDelta(dst []byte, h *Head) ([]byte, Mark) {
	if f != FormatProto {
		return AppendDelta(dst, h), Mark(messageDelta)
	}
	return f.beginUpdate(dst, h, messageDelta)
}

// BeginTrade begins a message of prints.
func (f Format) BeginTrade(dst []byte, h *Head) ([]byte, Mark) {
	if f != FormatProto {
		return AppendTrade(dst, h), Mark(messageTrade)
	}
	return f.beginUpdate(dst, h, messageTrade)
}

// BeginStatus begins a status, which is whole.
func (f Format) BeginStatus(dst []byte, h *Head) ([]byte, Mark) {
	if f != FormatProto {
		return AppendStatus(dst, h), Mark(messageStatus)
	}
	return f.beginUpdate(dst, h, messageStatus)
}

// BeginBar begins a bar.
func (f Format) BeginBar(dst []byte, h *Head) ([]byte, Mark) {
	if f != FormatProto {
		return AppendBar(dst, h), Mark(messageBar)
	}
	return f.beginUpdate(dst, h, messageBar)
}

func (f Format) beginUpdate(dst []byte, h *Head, kind protowire.Number) ([]byte, Mark) {
	dst = appendProtoUint(dst, 1, h.SID)
	dst = appendProtoUint(dst, 2, h.Seq)
	dst = appendProtoUint(dst, 3, h.Prev)
	dst = appendProtoUint(dst, 4, h.N)
	if h.Span > 0 {
		dst = appendProtoUint(dst, 5, uint64(h.Span))
	}
	return f.times(dst, h, kind)
}

func (Format) times(dst []byte, h *Head, kind protowire.Number) ([]byte, Mark) {
	dst = appendProtoFixed(dst, 7, h.TS)
	dst = appendProtoFixed(dst, 8, h.RX)
	dst = appendProtoFixed(dst, 9, h.TX)
	return dst, Mark(len(dst))<<8 | Mark(kind)
}

// Finish returns a message that was begun in msg, in memory of its own and no
// more than it needs. The content, if there is any, is of the channel.
func (f Format) Finish(msg []byte, m Mark, channel Channel) []byte {
	return f.AppendFinished(make([]byte, 0, f.FinishedSize(msg, m, channel)), msg, m, channel)
}

// FinishedSize returns how long the message will be that was begun in msg.
func (f Format) FinishedSize(msg []byte, m Mark, channel Channel) int {
	if f != FormatProto {
		return len(f.start()) + len(msg) + len("}")
	}
	_, body := f.sizes(msg, m, channel)
	return protowire.SizeTag(frameMessages) + protowire.SizeBytes(body)
}

// sizes returns how long the message of a kind is in itself and as the frame's.
func (Format) sizes(msg []byte, m Mark, channel Channel) (inner, body int) {
	head, content := int(m>>8), len(msg)-int(m>>8)
	if inner = head; content > 0 {
		inner += protowire.SizeTag(contents[channel]) + protowire.SizeBytes(content)
	}
	return inner, protowire.SizeTag(protowire.Number(m&0xff)) + protowire.SizeBytes(inner)
}

// AppendFinished appends the message that was begun in msg.
func (f Format) AppendFinished(dst, msg []byte, m Mark, channel Channel) []byte {
	if f != FormatProto {
		return append(append(append(dst, f.start()...), msg...), '}')
	}
	head, content := msg[:m>>8], msg[m>>8:]
	inner, body := f.sizes(msg, m, channel)
	dst = protowire.AppendVarint(protowire.AppendTag(dst, frameMessages, protowire.BytesType), uint64(body))
	dst = protowire.AppendVarint(protowire.AppendTag(dst, protowire.Number(m&0xff), protowire.BytesType), uint64(inner))
	dst = append(dst, head...)
	if len(content) > 0 {
		dst = protowire.AppendBytes(protowire.AppendTag(dst, contents[channel], protowire.BytesType), content)
	}
	return dst
}

// Nothing says that a delta stands for no change.
func (f Format) Nothing(dst []byte) []byte {
	if f != FormatProto {
		return AppendUint(dst, "n", 0)
	}
	return dst
}

// Null appends a field that has no value any longer.
func (f Format) Null(dst []byte, k Key) []byte {
	if f != FormatProto {
		return AppendNull(dst, k.Name)
	}
	dst = protowire.AppendTag(dst, numberCleared, protowire.VarintType)
	return protowire.AppendVarint(dst, uint64(k.Number))
}

// FormatNumber appends a field with a price or size at the stream's scale, of
// which d are the decimals.
func FormatNumber[T ~int64](f Format, dst []byte, k Key, m T, d market.Decimals) []byte {
	if f != FormatProto {
		return AppendNumber(dst, k.Name, m, d)
	}
	dst = protowire.AppendTag(dst, k.Number, protowire.VarintType)
	return protowire.AppendVarint(dst, protowire.EncodeZigZag(int64(m)))
}

// Price appends a field with a price at the stream's scale.
func (f Format) Price(dst []byte, k Key, p market.Price, scale market.Scale) []byte {
	return FormatNumber(f, dst, k, p, scale.Price)
}

// Size appends a field with a size at the stream's scale.
func (f Format) Size(dst []byte, k Key, s market.Size, scale market.Scale) []byte {
	return FormatNumber(f, dst, k, s, scale.Size)
}

// OwnNumber appends a field with a number that has decimals of its own.
func (f Format) OwnNumber(dst []byte, k Key, p market.Price, d market.Decimals) []byte {
	if f != FormatProto {
		return AppendNumber(dst, k.Name, p, d)
	}
	dst, at := openProto(dst, k.Number)
	dst = appendProtoUint(dst, 1, protowire.EncodeZigZag(int64(p)))
	dst = appendProtoUint(dst, 2, uint64(d))
	return closeProto(dst, at)
}

// Uint appends a field with a count.
func (f Format) Uint(dst []byte, k Key, n uint64) []byte {
	if f != FormatProto {
		return AppendUint(dst, k.Name, n)
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, k.Number, protowire.VarintType), n)
}

// CRC appends a field with a checksum.
func (f Format) CRC(dst []byte, k Key, crc uint32) []byte {
	if f != FormatProto {
		return AppendUint(dst, k.Name, uint64(crc))
	}
	return protowire.AppendFixed32(protowire.AppendTag(dst, k.Number, protowire.Fixed32Type), crc)
}

// Bool appends a field with a truth value.
func (f Format) Bool(dst []byte, k Key, v bool) []byte {
	if f != FormatProto {
		return AppendBool(dst, k.Name, v)
	}
	dst = protowire.AppendTag(dst, k.Number, protowire.VarintType)
	return protowire.AppendVarint(dst, protowire.EncodeBool(v))
}

// Word appends a field with a text that needs no escaping.
func (f Format) Word(dst []byte, k Key, word string) []byte {
	if f != FormatProto {
		return AppendWord(dst, k.Name, word)
	}
	return protowire.AppendString(protowire.AppendTag(dst, k.Number, protowire.BytesType), word)
}

// Text appends a field with any text. Invalid UTF-8 becomes U+FFFD.
func (f Format) Text(dst []byte, k Key, text []byte) []byte {
	if f != FormatProto {
		return AppendText(dst, k.Name, text)
	}
	dst, at := openProto(dst, k.Number)
	return closeProto(appendValid(dst, text), at)
}

// Time appends a field with a time, given in ns.
func (f Format) Time(dst []byte, k Key, ns int64) []byte {
	if f != FormatProto {
		return AppendMicros(dst, k.Name, ns)
	}
	return protowire.AppendFixed64(protowire.AppendTag(dst, k.Number, protowire.Fixed64Type), uint64(ns))
}

// Open begins a field that is an object, or, with array, a list whose absence
// means something else than that it is empty. [Format.Close] ends it.
func (f Format) Open(dst []byte, k Key, array bool) ([]byte, Mark) {
	if f == FormatProto {
		dst, at := openProto(dst, k.Number)
		return dst, Mark(at)
	}
	dst = append(appendName(dst, k.Name), bracket(array))
	return dst, Mark(len(dst))
}

// Close ends what [Format.Open] or [Format.Element] began.
func (f Format) Close(dst []byte, m Mark, array bool) []byte {
	if f == FormatProto {
		return closeProto(dst, int(m))
	}
	return append(dst, bracket(array)+2) // "]" and "}" are two after "[" and "{"
}

func bracket(array bool) byte {
	if array {
		return '['
	}
	return '{'
}

// List begins a list; [Format.EndList] ends it.
func (f Format) List(dst []byte, k Key) []byte {
	if f == FormatProto {
		return dst
	}
	return append(appendName(dst, k.Name), '[')
}

// EndList ends a list.
func (f Format) EndList(dst []byte) []byte {
	if f == FormatProto {
		return dst
	}
	return append(dst, ']')
}

// Element begins an object in the list that k names; [Format.Close] ends it.
func (f Format) Element(dst []byte, k Key) ([]byte, Mark) {
	if f == FormatProto {
		dst, at := openProto(dst, k.Number)
		return dst, Mark(at)
	}
	dst = append(comma(dst), '{')
	return dst, Mark(len(dst))
}

// WordElement appends a text that needs no escaping to the list that k names.
func (f Format) WordElement(dst []byte, k Key, word []byte) []byte {
	if f == FormatProto {
		return protowire.AppendBytes(protowire.AppendTag(dst, k.Number, protowire.BytesType), word)
	}
	dst = append(comma(dst), '"')
	dst = append(dst, word...)
	return append(dst, '"')
}

// VenueSize appends one size by venue, to the object or list that k names.
func (f Format) VenueSize(dst []byte, k Key, venue string, s market.Size, scale market.Scale) []byte {
	if f == FormatProto {
		dst, at := openProto(dst, k.Number)
		dst = appendProtoString(dst, 1, venue)
		dst = appendProtoUint(dst, 2, protowire.EncodeZigZag(int64(s)))
		return closeProto(dst, at)
	}
	return AppendNumber(dst, venue, s, scale.Size)
}

// Range appends a field with the lowest and the highest price of a while.
func (f Format) Range(dst []byte, k Key, low, high market.Price, scale market.Scale) []byte {
	if f == FormatProto {
		dst, at := openProto(dst, k.Number)
		dst = appendProtoUint(dst, 1, protowire.EncodeZigZag(int64(low)))
		dst = appendProtoUint(dst, 2, protowire.EncodeZigZag(int64(high)))
		return closeProto(dst, at)
	}
	dst = append(appendName(dst, k.Name), '[', '"')
	dst = market.AppendNumber(dst, low, scale.Price)
	dst = append(dst, '"', ',', '"')
	dst = market.AppendNumber(dst, high, scale.Price)
	return append(dst, '"', ']')
}

// Level begins one price level in the list that k names. [Format.OpenSplit],
// [Format.VenueSize] and [Format.CloseSplit] add its split by venue, and
// [Format.CloseLevel] ends it.
func (f Format) Level(dst []byte, k Key, l Level, scale market.Scale) ([]byte, Mark) {
	if f == FormatProto {
		dst, at := openProto(dst, k.Number)
		dst = appendProtoUint(dst, 1, protowire.EncodeZigZag(int64(l.Price)))
		dst = appendProtoUint(dst, 2, protowire.EncodeZigZag(int64(l.Size)))
		return dst, Mark(at)
	}
	return AppendLevel(comma(dst), true, l.Price, l.Size, scale), 0
}

// OpenSplit begins a level's split by venue.
func (f Format) OpenSplit(dst []byte) []byte {
	if f == FormatProto {
		return dst
	}
	return append(dst, ',', '{')
}

// CloseSplit ends a level's split by venue.
func (f Format) CloseSplit(dst []byte) []byte {
	if f == FormatProto {
		return dst
	}
	return append(dst, '}')
}

// CloseLevel ends a level.
func (f Format) CloseLevel(dst []byte, m Mark) []byte {
	if f == FormatProto {
		return closeProto(dst, int(m))
	}
	return append(dst, ']')
}

// Gap appends a whole gap message.
func (f Format) Gap(dst []byte, sid, from, to uint64, reason string) []byte {
	if f != FormatProto {
		return AppendGap(append(dst, f.start()...), sid, from, to, reason)
	}
	dst, frame := openProto(dst, frameMessages)
	dst, at := openProto(dst, 7)
	dst = appendProtoUint(dst, 1, sid)
	dst = appendProtoUint(dst, 2, from)
	dst = appendProtoUint(dst, 3, to)
	dst = appendProtoString(dst, 4, reason)
	return closeProto(closeProto(dst, at), frame)
}

// AppendScale appends a whole Scale message, which only Protocol Buffers have.
func AppendScale(dst []byte, sid uint64, scale market.Scale) []byte {
	dst, frame := openProto(dst, frameMessages)
	dst, at := openProto(dst, 6)
	dst = appendProtoUint(dst, 1, sid)
	dst = appendProtoUint(dst, 2, uint64(scale.Price))
	dst = appendProtoUint(dst, 3, uint64(scale.Size))
	return closeProto(closeProto(dst, at), frame)
}

// Append appends a whole control message: a welcome, an ack, an error and what
// else belongs to no stream's encoding.
func (f Format) Append(dst []byte, m Message) ([]byte, error) {
	if f == FormatProto {
		return appendProto(dst, m)
	}
	return Append(append(dst, f.start()...), m)
}

// Parse reads one request.
func (f Format) Parse(b []byte) (Request, *Error) {
	if f == FormatProto {
		return ParseProtoRequest(b)
	}
	return ParseRequest(b)
}

// The helpers below leave out fields with a zero value, as proto3 does.

func appendProtoUint(b []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func appendProtoFixed(b []byte, n protowire.Number, v int64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, n, protowire.Fixed64Type), uint64(v))
}

func appendProtoString(b []byte, n protowire.Number, v string) []byte {
	if v == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
}

// openProto begins a field whose length is not known yet; closeProto ends it. One
// byte is kept free for the length, which serves all but long fields: those are
// moved along once.
func openProto(b []byte, n protowire.Number) ([]byte, int) {
	b = append(protowire.AppendTag(b, n, protowire.BytesType), 0)
	return b, len(b)
}

func closeProto(b []byte, at int) []byte {
	n := len(b) - at
	if n < 1<<7 {
		b[at-1] = byte(n)
		return b
	}
	extra := protowire.SizeVarint(uint64(n)) - 1
	for range extra {
		b = append(b, 0)
	}
	copy(b[at+extra:], b[at:at+n])
	protowire.AppendVarint(b[:at-1], uint64(n))
	return b
}

// appendValid appends a text; invalid UTF-8 becomes U+FFFD.
func appendValid(dst, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		dst = utf8.AppendRune(dst, r)
		text = text[n:]
	}
	return dst
}

// comma appends a comma unless nothing comes before: dst is empty, or ends with
// the bracket that opened what it is in. Text in quotes never ends dst, its quote
// does.
func comma(dst []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' && dst[n-1] != '[' {
		return append(dst, ',')
	}
	return dst
}
