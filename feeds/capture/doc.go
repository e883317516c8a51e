// Package capture keeps frames on disk, exactly as they came, and plays them
// back.
//
// A [Writer] writes a capture and a [Reader] reads one. A [Recorder] stands
// between live feeds and a Writer, so that a slow disk never holds up a feed. A
// [Source] replays captures as a feeds.Source; nothing downstream can tell it
// from a live one. [Import] makes captures of recordings in other formats.
// [ReadInfo] tells what a capture holds and whether it is sound.
//
// # File format, version 1
//
// The extension is .qwc. A capture is a sequence of Zstandard frames (RFC
// 8878): the records are in compressed frames, and what a reader needs to find
// and check them is in skippable frames between them. Any zstd tool can
// therefore test a capture and unpack its records; none of its own words need
// be understood for that. All integers are little-endian. A uvarint is LEB128
// and a varint is a zigzag uvarint, as in encoding/binary. A CRC is CRC-32C
// (Castagnoli). Times are nanoseconds since the Unix epoch, UTC.
//
//	capture = header { block } index
//
// Each skippable frame begins with the magic 0x184D2A5C (bytes 5C 2A 4D 18),
// the u32 number of bytes that follow these eight, and a tag of eight bytes; it
// ends with the u32 CRC of all its bytes before that CRC. In every one but the
// header, the u32 at byte 16 is the salt: the header's CRC. It ties the frame
// to its file, so that a capture inside a payload of another is never taken for
// a part of it.
//
// Header, at the start of the file:
//
//	 0  4  magic
//	 4  4  size of what follows
//	 8  8  tag "QWCAPT\r\n", damaged by any transfer that changes line ends
//	16  2  u16 version, 1; a reader refuses a higher one
//	18  2  u16 flags, 0; a reader refuses flags that it does not know
//	20  8  i64 time of creation
//	28  4  u32 n, entries of metadata
//	32     n times: uvarint length, key, uvarint length, value; both UTF-8,
//	       sorted by key, no key twice
//	    4  CRC
//
// Block: a head of 88 bytes and one Zstandard frame, the content:
//
//	 0  4  magic
//	 4  4  size of what follows, 80
//	 8  8  tag "QWCBLOCK"
//	16  4  salt
//	20  4  u32 flags, 0; a reader refuses flags that it does not know
//	24  8  u64 number of the block, from 0
//	32  8  u64 number of its first frame in the file, from 0
//	40  8  i64 receive time of its first frame
//	48  8  i64 earliest receive time in it
//	56  8  i64 latest receive time in it
//	64  4  u32 frames in it, at least 1
//	68  4  u32 bytes of its content, uncompressed
//	72  4  u32 bytes of its content, as stored
//	76  4  u32 CRC of the content as stored
//	80  4  u32 CRC of the content uncompressed
//	84  4  CRC of the head
//	88     the content
//
// The content is a sequence of records, each with a uvarint size of what
// follows in it, a type byte and a body. A reader skips types that it does not
// know. Blocks do not depend on each other: feeds are numbered from 0 within a
// block, in the order of their declarations, and each is declared before its
// first frame in the block.
//
//	type 1, feed:   uvarint length, name, uvarint length, provider
//	type 2, frame:  u8 kind (feeds.FrameKind)
//	                u8 flags: bit 0 binary, bit 1 has a URL, others 0
//	                uvarint number of the feed
//	                varint receive time less that of the frame before in the
//	                  block, or less the block's first receive time; modulo
//	                  2^64. Negative where the time went back.
//	                with bit 1: uvarint length, URL
//	                payload: the rest of the record
//
// Index, the last thing in the file, written when the capture is closed:
//
//	 0  4  magic
//	 4  4  size of what follows
//	 8  8  tag "QWCINDEX"
//	16  4  salt
//	20  4  u32 flags, 0
//	24  8  u64 n, blocks in the file
//	32  8  u64 frames in the file
//	40     n times 40 bytes:
//	          u64 offset of the block's head in the file
//	          u64 number of its first frame
//	          u32 frames in it
//	          u32 bytes of its content, uncompressed
//	          i64 earliest receive time in it
//	          i64 latest receive time in it
//	    8  u64 offset of the index in the file
//	    4  CRC
//
// The index is found from the last twelve bytes of the file. A file without it
// was not closed (its writer died, or is still at work): its sound blocks are
// read as ever and at its end stands [ErrTruncated] in place of io.EOF; for
// seeking, the heads of the blocks are walked instead.
//
// A skippable frame with an unknown tag and a right CRC is skipped: that, the
// record types and the metadata are how the format grows without a new version.
//
// Bounds: a payload has at most [MaxPayload] bytes, a feed's or provider's name
// 1 KiB, a URL 64 KiB, the metadata 1 MiB, a block 65,536 feeds. A block is
// closed when its content reaches 256 KiB or the writer is flushed; only a
// record that is bigger by itself makes a bigger block.
//
// # Damage
//
// The writer hands each block to the file in one write, so a crash tears at
// most the last block, and what reached the file before it is sound. A block
// whose head or content does not match its CRC is reported as a
// [*CorruptError] and never passed on in part. [Reader.SkipBlock] then looks for the
// next sound head and tells, from the numbers of the frames, how many were
// lost between.
package capture
