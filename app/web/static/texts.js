// All words of the page, in English and Russian, and how numbers and times are written in each.

const TEXTS = {
  en: {
    title: "covers: find cover images by id",
    tagline: "Cover images by the ids of their items",
    ids: "Ids",
    ids_hint: "As many as you like, between blanks, commas or lines. Enter looks them up, Shift+Enter begins a line.",
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
    show: "Show",
    show_all: "All {number}",
    show_found: "Found {number}",
    show_missing: "No cover {number}",
    show_failed: "Failed {number}",
    none_of_these: "None of these.",
    empty: "Type the id of an item, or paste a whole list: the covers appear here, one by one.",
    asking: { one: "Looking up {count} id.", other: "Looking up {count} ids." },
    so_far: "{done} of {all}.",
    done: "Found: {found}. No cover: {missing}. Failed: {failed}. Took {time}.",
    stopped: "Stopped at {done} of {all}. Found: {found}. No cover: {missing}. Failed: {failed}.",
    too_many: "Only the first {number} of the ids are looked up.",
    waiting: "waiting",
    cut_off: "stopped",
    broken_picture: "The picture could not be loaded",
    explain: "Choose a card for the details.",
    close: "Close",
    reasons: {
      found: "Found",
      no_such_item: "No such item",
      no_cover: "Its page has no cover",
      blocked: "The origin blocks us",
      throttled: "The origin asks to wait",
      origin_failed: "The origin failed",
      too_slow: "Its page took too long",
      bad_id: "No id of this source",
      overloaded: "Too much is waiting here",
      no_time: "No answer in time",
      fault: "The service failed",
      unreachable: "The service cannot be reached",
    },
    caches: { memory: "memory", store: "store", stale: "stale", fetched: "fetched" },
    cache_means: {
      memory: "from memory",
      store: "from the store behind the memory",
      stale: "known from before, and no longer fresh",
      fetched: "fetched from the origin just now",
    },
    facts: {
      reason: "Outcome",
      error: "In the service’s words",
      url: "Picture",
      page_url: "Page",
      final_url: "Led to",
      status: "Answered with",
      source: "Source",
      rule: "Found by",
      misses: "Tried in vain",
      fetched_at: "Fetched",
      fresh_until: "Fresh until",
      cache: "This answer",
      took: "Took",
      http: "Over plain HTTP",
    },
    live: "The service now",
    live_quiet: "The last minute, asked every two seconds while this page is in view.",
    live_absent: "There is no live view: the service has no /metrics.",
    live_failed: "There is no live view at present: the service does not answer. It is asked again in ten seconds.",
    lookups: "Lookups a second",
    ratio: "Known already",
    fetches: "Pages a second",
    callers: "Callers waiting",
    origins: "Origins",
    untold: "not told",
    peak: "at most {number}",
    no_lookups: "no lookups lately",
    host_fails: "left alone, it fails",
    host_waits: "asked us to wait",
    no_hosts: "None gives trouble.",
    more_hosts: "and {count} more",
    learning: "soon to be told",
    chart: "{name}: {number}, {remark}",
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
    show: "Показать",
    show_all: "Все {number}",
    show_found: "Найдены {number}",
    show_missing: "Без обложки {number}",
    show_failed: "Сбои {number}",
    none_of_these: "Таких нет.",
    empty: "Введите идентификатор товара или вставьте целый список — обложки появятся здесь, одна за другой.",
    asking: {
      one: "Ищем {count} обложку.",
      few: "Ищем {count} обложки.",
      other: "Ищем {count} обложек.",
    },
    so_far: "{done} из {all}.",
    done: "Найдено: {found}. Без обложки: {missing}. Сбоев: {failed}. Время: {time}.",
    stopped: "Остановлено на {done} из {all}. Найдено: {found}. Без обложки: {missing}. Сбоев: {failed}.",
    too_many: "Ищутся только первые {number}.",
    waiting: "в очереди",
    cut_off: "остановлено",
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
    cache_means: {
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
      took: "Заняло",
      http: "По обычному HTTP",
    },
    live: "Сервис сейчас",
    live_quiet: "Последняя минута; опрос раз в две секунды, пока страница на виду.",
    live_absent: "Показателей нет: у сервиса нет /metrics.",
    live_failed: "Показателей сейчас нет: сервис не отвечает. Следующая попытка через десять секунд.",
    lookups: "Запросов/с",
    ratio: "Уже известно",
    fetches: "Страниц/с",
    callers: "Ждут ответа",
    origins: "Источники",
    untold: "не сообщается",
    peak: "не более {number}",
    no_lookups: "запросов давно не было",
    host_fails: "сбоит, не опрашивается",
    host_waits: "просит подождать",
    no_hosts: "Сбоев нет.",
    more_hosts: "и ещё {count}",
    learning: "скоро узнаем",
    chart: "{name}: {number}, {remark}",
  },
};

/** The language of the page: the first of the reader's that there are words in. */
const language =
  navigator.languages.map((tag) => tag.split("-")[0].toLowerCase()).find((tag) => tag in TEXTS) ?? "en";

const words = TEXTS[language];
const plural = new Intl.PluralRules(language);
const whole = new Intl.NumberFormat(language);
const rough = new Intl.NumberFormat(language, {
  maximumSignificantDigits: 3,
  maximumFractionDigits: 1,
  roundingPriority: "lessPrecision",
});
const share = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });
const milliseconds = unit("millisecond", { maximumFractionDigits: 0 });
const seconds = unit("second", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });

/**
 * Returns the text of this name, such as "find" or "reasons.found", with `values` in the places of their names; numbers
 * are written as the language does. One with plural forms goes by the value "count".
 */
export function text(name, values = {}) {
  const found = name.split(".").reduce((table, part) => table[part], words);
  const form = typeof found === "string" ? found : (found[plural.select(values.count)] ?? found.other);
  return form.replaceAll(/\{(\w+)\}/g, (_, key) => {
    const value = values[key];
    return typeof value === "number" ? whole.format(value) : value;
  });
}

/** Tells whether there is a text of this name in a table, such as "reasons". */
export function hasText(table, name) {
  return Object.hasOwn(words[table], name);
}

/** Returns a quantity that is measured, in three digits, of which one is behind the point at most. */
export function quantity(value) {
  return rough.format(value);
}

/** Returns a share from 0 to 1 in per cent. */
export function percent(value) {
  return share.format(value);
}

/** Returns milliseconds as people read them. */
export function duration(value) {
  return value < 1000 ? milliseconds.format(value) : seconds.format(value / 1000);
}

/** Returns a time such as 2026-11-22T12:45:21Z as the reader's clock has it; another text as it is. */
export function time(stamp) {
  const date = new Date(stamp);
  return Number.isNaN(date.valueOf()) ? stamp : moment.format(date);
}

/** Fills in the texts of index.html. */
export function translate() {
  document.documentElement.lang = language;
  document.title = text("title");
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.ariaLabel = text(element.dataset.label);
}

function unit(name, digits) {
  return new Intl.NumberFormat(language, { style: "unit", unit: name, unitDisplay: "short", ...digits });
}
