/* decimal.ts - Decimal numbers with any number of digits, as a deep zoom's centre needs them. */

/* units / 10^digits */
export interface Decimal {
  units: bigint;
  digits: number;
}

const FORM = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,4}))?$/i;
const DIGITS_MAX = 1990;

const power = (digits: number): bigint => 10n ** BigInt(digits);

/* Null where `text` is no number. */
export function parseDecimal(text: string): Decimal | null {
  const found = FORM.exec(text.trim());
  if (!found) return null;
  const [, sign, whole = "", fraction = "", exponent = "0"] = found;
  if (whole.length + fraction.length === 0 || whole.length + fraction.length > DIGITS_MAX) return null;
  const units = BigInt(whole + fraction) * (sign === "-" ? -1n : 1n);
  const digits = fraction.length - Number(exponent);
  return digits >= 0 ? { units, digits } : { units: units * power(-digits), digits: 0 };
}

/* Without zeros at the end. */
export function formatDecimal({ units, digits }: Decimal): string {
  const sign = units < 0n ? "-" : "";
  const text = (units < 0n ? -units : units).toString().padStart(digits + 1, "0");
  const fraction = text.slice(text.length - digits, text.length).replace(/0+$/, "");
  const whole = text.slice(0, text.length - digits);
  if (digits === 0) return sign + text;
  return fraction ? `${sign}${whole}.${fraction}` : whole === "0" ? "0" : sign + whole;
}

/* Rounded towards zero to `digits`. */
function rescale(number: Decimal, digits: number): bigint {
  return digits >= number.digits
    ? number.units * power(digits - number.digits)
    : number.units / power(number.digits - digits);
}

/* A double as mantissa (17 digits, an integer) and power of ten: 1e300 does not fit into anything else here. */
function split(value: number): { mantissa: bigint; exponent: number } {
  const [mantissa = "0", exponent = "0"] = value.toExponential(16).split("e");
  return { mantissa: BigInt(mantissa.replace(".", "")), exponent: Number(exponent) - 16 };
}

/* number + shift / scale, to the digits that tell 1 / scale apart, and some more. */
export function moved(number: Decimal, shift: number, scale: number): Decimal {
  const digits = Math.min(Math.max(Math.ceil(Math.log10(scale)), 0) + 8, DIGITS_MAX);
  const by = split(shift);
  const under = split(scale);
  const up = by.exponent - under.exponent + digits;
  const change = up >= 0 ? (by.mantissa * power(up)) / under.mantissa : by.mantissa / (under.mantissa * power(-up));
  return { units: rescale(number, digits) + change, digits };
}

/* (a - b) * scale as a double. */
export function distance(a: Decimal, b: Decimal, scale: number): number {
  const digits = Math.max(a.digits, b.digits);
  const { mantissa, exponent } = split(scale);
  const product = (rescale(a, digits) - rescale(b, digits)) * mantissa;
  const text = product.toString();
  return Number(`${text}e${exponent - digits}`);
}
