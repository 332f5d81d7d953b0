// Links as the field knows them. A burst lasts as long as that many full packets take; 0: losses come one by one.
export const profiles = [
  { name: 'good wifi', rate: 100e6, rttMs: 16, jitterMs: 0, lossPercent: 0.1, burst: 0 },
  { name: 'fibre', rate: 100e6, rttMs: 40, jitterMs: 0, lossPercent: 1, burst: 0 },
  { name: 'fat', rate: 300e6, rttMs: 100, jitterMs: 0, lossPercent: 0, burst: 0 },
  { name: 'fat with loss', rate: 300e6, rttMs: 100, jitterMs: 0, lossPercent: 0.1, burst: 0 },
  { name: 'congested wifi', rate: 25e6, rttMs: 40, jitterMs: 12, lossPercent: 1, burst: 6 },
  { name: 'weak 4G', rate: 8e6, rttMs: 90, jitterMs: 15, lossPercent: 2, burst: 8 },
  { name: 'slow 3G', rate: 3e6, rttMs: 200, jitterMs: 30, lossPercent: 3, burst: 10 },
  { name: 'congested cellular', rate: 1.5e6, rttMs: 300, jitterMs: 40, lossPercent: 5, burst: 12 },
  { name: 'very bad', rate: 800e3, rttMs: 450, jitterMs: 60, lossPercent: 8, burst: 20 },
  { name: 'satellite', rate: 25e6, rttMs: 600, jitterMs: 40, lossPercent: 1.5, burst: 6 },
  { name: 'barely usable', rate: 500e3, rttMs: 450, jitterMs: 80, lossPercent: 12, burst: 25 },
  { name: 'absurd', rate: 256e3, rttMs: 800, jitterMs: 150, lossPercent: 25, burst: 40 }
]

export const bdp = (profile) => profile.rate / 8 * profile.rttMs / 1000

/** How long one transfer is measured, seconds: 60 round trips, so that neither its start nor what waits behind a hole at its end is most of it. */
export const seconds = (profile) => Number(process.env.BENCH_SECONDS ?? Math.max(8, 60 * profile.rttMs / 1000))
