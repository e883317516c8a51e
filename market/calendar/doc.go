// Package calendar tells when markets trade: sessions, holidays and early closes
// of each asset class, as data with their sources in the folder data.
//
// Time is cut into trading days without gaps: a day lasts from its own beginning
// to that of the next trading day, so that a weekend and a holiday belong to the
// day before them. Inside a day every moment is in one [Session], which may be a
// closed one.
//
// A [Calendar] never changes and may be shared. It asks no clock.
package calendar
