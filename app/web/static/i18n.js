// Internationalisation: the texts of the page in English and Russian, and the formats of numbers and times.

const TEXTS = {
  en: {
    title: "covers: find cover images by id",
    tagline: "Cover images by the ids of their items",
    ids: "Ids",
    ids_hint:
      "As many as you like, separated by spaces, commas or line breaks. Enter looks them up, Shift+Enter adds a line.",
    source: "Source",
    source_hint: "Its pages: {page}",
    default_source: "{name} (default)",
    no_sources: "The service does not answer.",
    find: { one: "Find {count} cover", other: "Find {count} covers" },
    find_none: "Find covers",
    stop: "Stop",
    clear: "Clear",
    covers: "Covers",
    progress: "Progress",
    filter: "Show",
    filter_all: "All {number}",
    filter_found: "Found {number}",
    filter_missing: "No cover {number}",
    filter_failed: "Failed {number}",
    no_matches: "None of these.",
    empty: "Type the id of an item, or paste a whole list: the covers appear here, one by one.",
    started: { one: "Looking up {count} id.", other: "Looking up {count} ids." },
    so_far: "{done} of {all}.",
    finished: "Found: {found}. No cover: {missing}. Failed: {failed}. Took {time}.",
    stopped: "Stopped at {done} of {all}. Found: {found}. No cover: {missing}. Failed: {failed}.",
    too_many: "Only the first {number} of the ids are looked up.",
    card_queued: "waiting",
    card_stopped: "stopped",
    broken_picture: "The picture could not be loaded",
    explain: "Choose a card for the details.",
    close: "Close",
    reasons: {
      found: "Found",
      no_such_item: "No such item",
      no_cover: "Its page has no cover",
      blocked: "The origin blocks us",
      throttled: "The origin asks us to wait",
      origin_failed: "The origin failed",
      too_slow: "Its page took too long",
      bad_id: "Not an id of this source",
      overloaded: "Too many lookups are waiting",
      no_time: "No answer in time",
      fault: "The service failed",
      unreachable: "The service cannot be reached",
    },
    caches: { memory: "memory", store: "store", stale: "stale", fetched: "fetched" },
    cache_descriptions: {
      memory: "from memory",
      store: "from the store",
      stale: "from an earlier fetch, no longer fresh",
      fetched: "fetched from the origin just now",
    },
    facts: {
      reason: "Outcome",
      error: "Error message",
      url: "Picture",
      page_url: "Page",
      final_url: "Redirected to",
      status: "Response status",
      source: "Source",
      rule: "Found by",
      misses: "Rules without a match",
      fetched_at: "Fetched",
      fresh_until: "Fresh until",
      cache: "This answer",
      duration: "Took",
      http: "Over plain HTTP",
    },
    live: "The service now",
    live_note: "The last minute, updated every two seconds while this page is visible.",
    live_absent: "There is no live view: the service has no /metrics.",
    live_failed: "There is no live view at present: the service does not answer. The page tries again in ten seconds.",
    lookups: "Lookups a second",
    ratio: "From cache",
    fetches: "Pages a second",
    callers: "Callers waiting",
    origins: "Origins",
    not_reported: "not reported",
    peak: "at most {number}",
    no_lookups: "no lookups lately",
    host_failing: "failing, not contacted",
    host_throttled: "asked us to wait",
    no_hosts: "No problems.",
    more_hosts: "and {count} more",
    measuring: "measuring",
    chart: "{name}: {number}, {note}",
  },
  ru: {
    title: "covers: обложки по номерам",
    tagline: "Обложки по идентификаторам товаров",
    ids: "Идентификаторы",
    ids_hint: "Сколько угодно, через пробел, запятую или с новой строки. Enter — искать, Shift+Enter — новая строка.",
    source: "Источник",
    source_hint: "Страницы: {page}",
    default_source: "{name} (по умолчанию)",
    no_sources: "Сервис не отвечает.",
    find: { one: "Найти {count} обложку", few: "Найти {count} обложки", other: "Найти {count} обложек" },
    find_none: "Найти обложки",
    stop: "Стоп",
    clear: "Очистить",
    covers: "Обложки",
    progress: "Ход поиска",
    filter: "Показать",
    filter_all: "Все {number}",
    filter_found: "Найдены {number}",
    filter_missing: "Без обложки {number}",
    filter_failed: "Сбои {number}",
    no_matches: "Таких нет.",
    empty: "Введите идентификатор товара или вставьте целый список — обложки появятся здесь, одна за другой.",
    started: {
      one: "Ищем {count} обложку.",
      few: "Ищем {count} обложки.",
      other: "Ищем {count} обложек.",
    },
    so_far: "{done} из {all}.",
    finished: "Найдено: {found}. Без обложки: {missing}. Сбоев: {failed}. Время: {time}.",
    stopped: "Остановлено на {done} из {all}. Найдено: {found}. Без обложки: {missing}. Сбоев: {failed}.",
    too_many: "Ищутся только первые {number}.",
    card_queued: "в очереди",
    card_stopped: "остановлено",
    broken_picture: "Картинка не загрузилась",
    explain: "Выберите карточку, чтобы узнать подробности.",
    close: "Закрыть",
    reasons: {
      found: "Найдена",
      no_such_item: "Нет такого товара",
      no_cover: "На странице нет обложки",
      blocked: "Магазин нас не пускает",
      throttled: "Магазин просит подождать",
      origin_failed: "Сбой у магазина",
      too_slow: "Страница отвечает слишком долго",
      bad_id: "Не подходит этому источнику",
      overloaded: "Слишком большая очередь",
      no_time: "Нет ответа в срок",
      fault: "Сбой сервиса",
      unreachable: "Сервис недоступен",
    },
    caches: { memory: "память", store: "хранилище", stale: "прежнее", fetched: "источник" },
    cache_descriptions: {
      memory: "из памяти",
      store: "из хранилища за памятью",
      stale: "известно с прошлого раза, уже не свежее",
      fetched: "только что из источника",
    },
    facts: {
      reason: "Итог",
      error: "Словами сервиса",
      url: "Картинка",
      page_url: "Страница",
      final_url: "Привела к",
      status: "Код ответа",
      source: "Источник",
      rule: "Найдена по правилу",
      misses: "Не подошли",
      fetched_at: "Получено",
      fresh_until: "Актуально до",
      cache: "Этот ответ",
      duration: "Заняло",
      http: "По обычному HTTP",
    },
    live: "Сервис сейчас",
    live_note: "Последняя минута; опрос раз в две секунды, пока страница на виду.",
    live_absent: "Показателей нет: у сервиса нет /metrics.",
    live_failed: "Показателей сейчас нет: сервис не отвечает. Следующая попытка через десять секунд.",
    lookups: "Запросов/с",
    ratio: "Уже известно",
    fetches: "Страниц/с",
    callers: "Ждут ответа",
    origins: "Источники",
    not_reported: "не сообщается",
    peak: "не более {number}",
    no_lookups: "запросов давно не было",
    host_failing: "сбоит, не опрашивается",
    host_throttled: "просит подождать",
    no_hosts: "Сбоев нет.",
    more_hosts: "и ещё {count}",
    measuring: "скоро узнаем",
    chart: "{name}: {number}, {note}",
  },
};

/** The language of the page: the first preferred language that has texts, or English. */
const language =
  navigator.languages.map((tag) => tag.split("-")[0].toLowerCase()).find((tag) => tag in TEXTS) ?? "en";

const texts = TEXTS[language];
const pluralRules = new Intl.PluralRules(language);
const integerFormat = new Intl.NumberFormat(language);
const numberFormat = new Intl.NumberFormat(language, {
  maximumSignificantDigits: 3,
  maximumFractionDigits: 1,
  roundingPriority: "lessPrecision",
});
const percentFormat = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });
const millisecondFormat = createUnitFormat("millisecond", { maximumFractionDigits: 0 });
const secondFormat = createUnitFormat("second", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const timeFormat = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });

/**
 * Returns the text of a key, such as "find" or "reasons.found". `values` replace the placeholders of their names;
 * numbers are formatted. If the text has plural forms, the value `count` selects one.
 */
export function translate(key, values = {}) {
  const entry = key.split(".").reduce((table, part) => table[part], texts);
  const text = typeof entry === "string" ? entry : (entry[pluralRules.select(values.count)] ?? entry.other);
  return text.replaceAll(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? integerFormat.format(value) : value;
  });
}

/** Returns whether a table of texts, such as "reasons", has this key. */
export function hasTranslation(table, key) {
  return Object.hasOwn(texts[table], key);
}

/** Formats a number with at most three significant digits and at most one fraction digit. */
export function formatNumber(value) {
  return numberFormat.format(value);
}

/** Formats a ratio from 0 to 1 as a percentage. */
export function formatPercent(value) {
  return percentFormat.format(value);
}

/** Formats a duration, given in milliseconds. From one second on, the unit is seconds. */
export function formatDuration(value) {
  return value < 1000 ? millisecondFormat.format(value) : secondFormat.format(value / 1000);
}

/** Formats a timestamp such as 2026-11-22T12:45:21Z in local time. Any other string is returned unchanged. */
export function formatTime(timestamp) {
  const date = new Date(timestamp);
  return Number.isNaN(date.valueOf()) ? timestamp : timeFormat.format(date);
}

/** Inserts the texts and labels of index.html. */
export function translatePage() {
  document.documentElement.lang = language;
  document.title = translate("title");
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = translate(element.dataset.text);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.ariaLabel = translate(element.dataset.label);
  }
}

function createUnitFormat(unit, digits) {
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short", ...digits });
}
