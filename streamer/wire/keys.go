package wire

// The fields of the channels' contents, with their numbers in wirev1.
var (
	// Of wirev1.Quote.
	KeyBid       = Key{"bid", 1}
	KeyBidSize   = Key{"bid_size", 2}
	KeyBidTotal  = Key{"bid_total", 3}
	KeyBidVenues = Key{"bid_venues", 4}
	KeyAsk       = Key{"ask", 5}
	KeyAskSize   = Key{"ask_size", 6}
	KeyAskTotal  = Key{"ask_total", 7}
	KeyAskVenues = Key{"ask_venues", 8}
	KeySource    = Key{"source", 9}
	KeyState     = Key{"state", 10}
	KeyLocked    = Key{"locked", 11}
	KeyCrossed   = Key{"crossed", 12}
	KeyStale     = Key{"stale", 13}
	KeyOut       = Key{"out", 14}
	KeyMerged    = Key{"merged", 16} // of wirev1.Ticker too

	KeyBidProtected = Key{"bid_protected", 17}
	KeyAskProtected = Key{"ask_protected", 18}
	KeyThin         = Key{"thin", 19}
	KeyCounted      = Key{"counted", 20}
	KeyInverted     = Key{"inverted_since", 21}

	// Of wirev1.Out, and of the list that it is in.
	KeyOuts     = Key{"", 1}
	KeyOutVenue = Key{"venue", 1}
	KeyOutWhy   = Key{"why", 2}
	KeyOutCause = Key{"cause", 3}
	KeyOutSince = Key{"since", 4}
	KeyOutSide  = Key{"side", 5}

	// Of wirev1.Status and its parts.
	KeyStatusState    = Key{"state", 1}
	KeyReason         = Key{"reason", 2}
	KeySince          = Key{"since", 3}
	KeySession        = Key{"session", 4}
	KeySessionEnd     = Key{"session_end", 5}
	KeyLimit          = Key{"limit", 6}
	KeyLimitSince     = Key{"limit_since", 7}
	KeyBands          = Key{"bands", 8}
	KeyImbalance      = Key{"imbalance", 9}
	KeyVenues         = Key{"venues", 10}
	KeyBandLow        = Key{"low", 1}
	KeyBandHigh       = Key{"high", 2}
	KeyImbalanceVenue = Key{"venue", 1}
	KeyImbalanceSide  = Key{"side", 2}
	KeyAuction        = Key{"auction", 3}
	KeyAuctionTime    = Key{"auction_time", 4}
	KeyImbalancePrice = Key{"price", 5}
	KeyImbalanceSize  = Key{"size", 6}
	KeyPaired         = Key{"paired", 7}
	KeyImbalanceTS    = Key{"ts", 8}
	KeyVenueName      = Key{"venue", 1}
	KeyVenueState     = Key{"state", 2}
	KeyVenueCause     = Key{"cause", 3}
	KeyVenueSince     = Key{"since", 4}

	// Of wirev1.VenueSizes and wirev1.Level: sizes by venue.
	KeyVenueSizes  = Key{"", 1}
	KeyLevelVenues = Key{"", 3}

	// Of wirev1.Merged.
	KeyMergedBid    = Key{"bid", 1}
	KeyMergedAsk    = Key{"ask", 2}
	KeyMergedLast   = Key{"last", 3}
	KeyMergedVolume = Key{"volume", 4}
	KeyMergedTrades = Key{"trades", 5}
	KeyMergedVWAP   = Key{"vwap", 6}

	// Of wirev1.Book.
	KeyBids      = Key{"bids", 1}
	KeyAsks      = Key{"asks", 2}
	KeyCRC       = Key{"crc", 3}
	KeyBookState = Key{"state", 4}

	// Of wirev1.Trades and wirev1.TradeEvent.
	KeyEvents     = Key{"events", 1}
	KeyEventPrice = Key{"price", 1}
	KeyEventSize  = Key{"size", 2}
	KeyEventVenue = Key{"venue", 3}
	KeyEventID    = Key{"id", 4}
	KeyEventSide  = Key{"side", 5}
	KeyEventCond  = Key{"cond", 6}
	KeyEventPrior = Key{"prior", 7}
	KeyEventTS    = Key{"ts", 8}
	KeyEventKind  = Key{"kind", 9}
	KeyEventOf    = Key{"of", 10}

	// Of wirev1.Ticker.
	KeyLast      = Key{"last", 1}
	KeyLastSize  = Key{"last_size", 2}
	KeyLastVenue = Key{"last_venue", 3}
	KeyOpen      = Key{"open", 4}
	KeyHigh      = Key{"high", 5}
	KeyLow       = Key{"low", 6}
	KeyPrevClose = Key{"prev_close", 7}
	KeyChange    = Key{"change", 8}
	KeyVolume    = Key{"volume", 9}
	KeyTrades    = Key{"trades", 10}
	KeyVWAP      = Key{"vwap", 11}
	KeyExtLast   = Key{"ext_last", 12}
	KeyExtChange = Key{"ext_change", 13}
	KeyExtTime   = Key{"ext_time", 14}

	// Of wirev1.Bar.
	KeyBar       = Key{"bar", 1}
	KeyStart     = Key{"start", 2}
	KeyBarState  = Key{"state", 3}
	KeyRev       = Key{"rev", 4}
	KeyBarOpen   = Key{"open", 5}
	KeyBarHigh   = Key{"high", 6}
	KeyBarLow    = Key{"low", 7}
	KeyBarClose  = Key{"close", 8}
	KeyBarVolume = Key{"volume", 9}
	KeyBarTrades = Key{"trades", 10}
	KeyBarVWAP   = Key{"vwap", 11}
)
