const DAY_MS = 86_400_000;

/**
 * @param {Date} moment
 * @param {Date} now
 * @returns {string} the heading under which a list has it
 */
export function dayOf(moment, now) {
  const ago = Math.round((midnight(now).getTime() - midnight(moment).getTime()) / DAY_MS);
  if (ago <= 0) return "Today";
  if (ago === 1) return "Yesterday";
  if (ago < 7) return "Last 7 days";
  if (ago < 30) return "Last 30 days";
  return "Earlier";
}

/**
 * @param {Date} moment
 * @returns {Date} the beginning of its day, here
 */
export function midnight(moment) {
  return new Date(moment.getFullYear(), moment.getMonth(), moment.getDate());
}
