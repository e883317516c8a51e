package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/quotewire/quotewire/feeds/capture"
	"github.com/quotewire/quotewire/normalizer"
)

// metaFeeds is the key under which a capture tells its feeds. Their order and
// settings are part of what a replay must repeat: a feed that is named first
// takes precedence, and so do venues that are known first.
const metaFeeds = "feeds"

// recordedFeed is one feed in a capture's header.
type recordedFeed struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	Lots     bool   `json:"lots,omitempty"` // quote sizes are in round lots
}

// meta returns what a capture's header says of this program and its feeds.
func (in *ingest) meta() (map[string]string, error) {
	var list []recordedFeed
	for _, f := range in.list() {
		list = append(list, recordedFeed{f.name, f.provider, in.units[f.name] == normalizer.RoundLots})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("describe feeds: %w", err)
	}
	meta := map[string]string{"program": "quotewire " + version(), metaFeeds: string(text)}
	if len(in.quotes) > 0 {
		if text, err = json.Marshal(in.quotes); err != nil {
			return nil, fmt.Errorf("describe quotes: %w", err)
		}
		meta[metaQuotes] = string(text)
	}
	if in.prints != (tapeConfig{}) {
		if text, err = json.Marshal(in.prints); err != nil {
			return nil, fmt.Errorf("describe the tape: %w", err)
		}
		meta[metaTape] = string(text)
	}
	return meta, nil
}

// restore adds the feeds that the captures' headers tell, in their order. Feeds
// that no header tells, of imported recordings, are added as they appear.
func (in *ingest) restore(files []string) error {
	for _, path := range files {
		r, err := capture.Open(path)
		if err != nil {
			return err
		}
		meta := r.Header().Meta
		text := meta[metaFeeds]
		if err := r.Close(); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := errors.Join(in.restoreQuotes(meta[metaQuotes]), in.restoreTape(meta[metaTape])); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if text == "" {
			continue
		}
		var list []recordedFeed
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			return fmt.Errorf("%s: read the feeds in its header: %w", path, err)
		}
		for _, f := range list {
			if in.feed(f.Name) != nil {
				continue
			}
			if f.Lots {
				in.units[f.Name] = normalizer.RoundLots
			}
			if _, err := in.add(f.Name, f.Provider); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return nil
}
