const OCTET = '(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const GROUP = '[0-9a-f]{1,4}';
const LABEL = '[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?';
const DATE = [
  '[0-9]{4}-(',
  '(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|',
  '(0[469]|11)-(0[1-9]|[12][0-9]|30)|',
  '02-(0[1-9]|1[0-9]|2[0-8])', // the 29th is not valid in every year
  ')',
].join('');
const TIME = '([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])';
const CLOCK = 'T([0-9]{1,2}H([0-9]{1,2}M)?([0-9]{1,2}S)?|[0-9]{1,2}M([0-9]{1,2}S)?|[0-9]{1,2}S)';

/** What strings of a format look like here: never wrong, though a format may allow more (RFC 3339, 5321, 1123, 4291, 4122). */
export const FORMATS: Readonly<Record<string, string>> = {
  'date-time': `${DATE}T${TIME}`,
  date: DATE,
  time: TIME,
  duration: `P([0-9]{1,4}Y([0-9]{1,2}M)?([0-9]{1,2}D)?(${CLOCK})?|[0-9]{1,2}M([0-9]{1,2}D)?(${CLOCK})?|[0-9]{1,3}D(${CLOCK})?|${CLOCK}|[0-9]{1,3}W)`,
  email: `[a-z0-9_+-]{1,32}(\\.[a-z0-9_+-]{1,32}){0,3}@(${LABEL}\\.){1,4}[a-z]{2,12}`,
  hostname: `${LABEL}(\\.${LABEL}){0,4}`,
  ipv4: `${OCTET}(\\.${OCTET}){3}`,
  ipv6: `(${GROUP}:){7}${GROUP}|::(${GROUP}:){0,5}${GROUP}|::`,
  uuid: '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}',
  uri: `https?://(${LABEL}\\.){1,4}[a-z]{2,12}(/[A-Za-z0-9._~-]{0,40}){0,10}`,
};
