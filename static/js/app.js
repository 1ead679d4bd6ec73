// The entry: starts the socket and everything that listens to it, once for the whole visit.

import * as charts from "app/charts.js";
import * as depth from "app/depth.js";
import * as heat from "app/heat.js";
import * as keys from "app/keys.js";
import * as live from "app/live.js";
import * as market from "app/market.js";
import * as options from "app/options.js";
import * as ranks from "app/ranks.js";
import * as shell from "app/shell.js";
import { stream } from "app/stream.js";
import * as ticket from "app/ticket.js";
import * as toasts from "app/toast.js";
import * as watchlist from "app/watchlist.js";

for (const part of [shell, live, toasts, ticket, depth, heat, keys, market, options, ranks, charts, watchlist]) part.start();
const { user, epoch, seq } = document.body.dataset;
// The page says up to which private event it was rendered; what came since is replayed.
if (user) stream.start({ epoch: epoch || null, seq: seq ? Number(seq) : null });
document.documentElement.dataset.ready = "1";
